"""HTTP: routes, content negotiation, errors as problem+json."""
