CREATE TABLE answers (
    request VARCHAR(71) NOT NULL,
    lock BLOB NOT NULL,
    footprint BLOB NOT NULL,
    created_at DOUBLE NOT NULL,
    last_used_at DOUBLE NOT NULL,
    ends_at DOUBLE,
    CONSTRAINT pk_answers PRIMARY KEY (request)
);
CREATE INDEX ix_answers_last_used_at ON answers (last_used_at);
CREATE TABLE blocks (
    pattern VARCHAR(255) NOT NULL,
    specifier VARCHAR(255) NOT NULL,
    reason TEXT NOT NULL,
    blocked_at DOUBLE NOT NULL,
    blocked_by VARCHAR(255) NOT NULL,
    CONSTRAINT pk_blocks PRIMARY KEY (pattern, specifier)
);
CREATE TABLE built_metadata (
    "key" VARCHAR(71) NOT NULL,
    body TEXT NOT NULL,
    created_at DOUBLE NOT NULL,
    CONSTRAINT pk_built_metadata PRIMARY KEY ("key")
);
CREATE TABLE built_wheels (
    "key" VARCHAR(71) NOT NULL,
    project VARCHAR(255) NOT NULL,
    filename TEXT NOT NULL,
    digest VARCHAR(71) NOT NULL,
    size BIGINT NOT NULL,
    glibc INTEGER NOT NULL,
    made_with BLOB NOT NULL,
    created_at DOUBLE NOT NULL,
    CONSTRAINT pk_built_wheels PRIMARY KEY ("key")
);
CREATE TABLE core_metadata (
    file VARCHAR(80) NOT NULL,
    body TEXT,
    reason TEXT,
    needs_build INTEGER DEFAULT '0' NOT NULL,
    obtained_at DOUBLE NOT NULL,
    CONSTRAINT pk_core_metadata PRIMARY KEY (file)
);
CREATE TABLE dependencies (
    project VARCHAR(255) NOT NULL,
    required VARCHAR(255) NOT NULL,
    CONSTRAINT pk_dependencies PRIMARY KEY (project, required)
);
CREATE TABLE environment_views (
    "key" VARCHAR(71) NOT NULL,
    "view" VARCHAR(64) NOT NULL,
    fetched_at DOUBLE NOT NULL,
    fetched_by VARCHAR(255) NOT NULL,
    fetches INTEGER NOT NULL,
    CONSTRAINT pk_environment_views PRIMARY KEY ("key", "view")
);
CREATE TABLE environments (
    "key" VARCHAR(71) NOT NULL,
    manifest BLOB NOT NULL,
    lock BLOB NOT NULL,
    created_at DOUBLE NOT NULL,
    last_used_at DOUBLE NOT NULL,
    CONSTRAINT pk_environments PRIMARY KEY ("key")
);
CREATE INDEX ix_environments_last_used_at ON environments (last_used_at);
CREATE TABLE files (
    file VARCHAR(80) NOT NULL,
    digest VARCHAR(71) NOT NULL,
    size BIGINT NOT NULL,
    obtained_at DOUBLE NOT NULL,
    CONSTRAINT pk_files PRIMARY KEY (file)
);
CREATE TABLE hosted_projects (
    source VARCHAR(64) NOT NULL,
    project VARCHAR(255) NOT NULL,
    name VARCHAR(255) NOT NULL,
    status VARCHAR(16) DEFAULT 'active' NOT NULL,
    status_reason TEXT,
    created_at DOUBLE NOT NULL,
    CONSTRAINT pk_hosted_projects PRIMARY KEY (source, project)
);
CREATE TABLE hosts (
    origin VARCHAR(255) NOT NULL,
    ability VARCHAR(32) NOT NULL,
    works INTEGER NOT NULL,
    checked_at DOUBLE NOT NULL,
    CONSTRAINT pk_hosts PRIMARY KEY (origin, ability)
);
CREATE TABLE jobs (
    id VARCHAR(32) NOT NULL,
    "key" VARCHAR(71) NOT NULL,
    title TEXT NOT NULL,
    state VARCHAR(16) NOT NULL,
    attempt INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    scope VARCHAR(64) NOT NULL,
    priority INTEGER NOT NULL,
    body BLOB NOT NULL,
    result BLOB,
    reason TEXT,
    hint TEXT,
    worker VARCHAR(255),
    not_before DOUBLE NOT NULL,
    lease_until DOUBLE,
    created_at DOUBLE NOT NULL,
    started_at DOUBLE,
    finished_at DOUBLE,
    CONSTRAINT pk_jobs PRIMARY KEY (id)
);
CREATE INDEX ix_jobs_key ON jobs ("key");
CREATE INDEX ix_jobs_state_priority_created_at ON jobs (state, priority, created_at);
CREATE UNIQUE INDEX uq_jobs_active_key ON jobs ("key") WHERE state IN ('queued', 'running');
CREATE TABLE journal (
    serial INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at DOUBLE NOT NULL,
    who VARCHAR(255) NOT NULL,
    action VARCHAR(32) NOT NULL,
    source VARCHAR(64),
    project VARCHAR(255),
    version VARCHAR(255),
    filename VARCHAR(512),
    detail TEXT
);
CREATE INDEX ix_journal_source_project ON journal (source, project);
CREATE TABLE layers (
    wheel VARCHAR(71) NOT NULL,
    family VARCHAR(64) NOT NULL,
    recipe VARCHAR(64) NOT NULL,
    digest VARCHAR(71),
    info TEXT NOT NULL,
    created_at DOUBLE NOT NULL,
    CONSTRAINT pk_layers PRIMARY KEY (wheel, family, recipe)
);
CREATE INDEX ix_layers_digest ON layers (digest);
CREATE TABLE local_files (
    path TEXT NOT NULL,
    stamp VARCHAR(80) NOT NULL,
    sha256 VARCHAR(64) NOT NULL,
    CONSTRAINT pk_local_files PRIMARY KEY (path)
);
CREATE TABLE serials (
    "view" VARCHAR(71) NOT NULL,
    project VARCHAR(255) NOT NULL,
    revision VARCHAR(71) NOT NULL,
    serial BIGINT NOT NULL,
    CONSTRAINT pk_serials PRIMARY KEY ("view", project)
);
CREATE INDEX ix_serials_serial ON serials (serial);
CREATE TABLE simple_pages (
    "view" VARCHAR(71) NOT NULL,
    project VARCHAR(255) NOT NULL,
    form VARCHAR(8) NOT NULL,
    revision VARCHAR(71) NOT NULL,
    etag VARCHAR(71) NOT NULL,
    serial BIGINT NOT NULL,
    max_age INTEGER NOT NULL,
    body BLOB NOT NULL,
    CONSTRAINT pk_simple_pages PRIMARY KEY ("view", project, form)
);
CREATE TABLE sources (
    id INTEGER NOT NULL,
    digest VARCHAR(71) NOT NULL,
    kind VARCHAR(16) NOT NULL,
    location TEXT NOT NULL,
    CONSTRAINT pk_sources PRIMARY KEY (id),
    CONSTRAINT uq_sources_digest UNIQUE (digest)
);
CREATE TABLE tokens (
    id VARCHAR(16) NOT NULL,
    hash VARCHAR(64) NOT NULL,
    note VARCHAR(255) NOT NULL,
    scopes TEXT NOT NULL,
    created_at DOUBLE NOT NULL,
    created_by VARCHAR(255) NOT NULL,
    expires_at DOUBLE,
    revoked_at DOUBLE,
    CONSTRAINT pk_tokens PRIMARY KEY (id),
    CONSTRAINT uq_tokens_hash UNIQUE (hash)
);
CREATE TABLE workers (
    name VARCHAR(255) NOT NULL,
    scopes TEXT NOT NULL,
    seen_at DOUBLE NOT NULL,
    CONSTRAINT pk_workers PRIMARY KEY (name)
);
CREATE TABLE hosted_releases (
    source VARCHAR(64) NOT NULL,
    project VARCHAR(255) NOT NULL,
    version VARCHAR(255) NOT NULL,
    yanked TEXT,
    published_at DOUBLE,
    created_at DOUBLE NOT NULL,
    created_by VARCHAR(255) NOT NULL,
    CONSTRAINT pk_hosted_releases PRIMARY KEY (source, project, version),
    CONSTRAINT fk_hosted_releases_source_hosted_projects FOREIGN KEY(source, project) REFERENCES hosted_projects (source, project)
);
CREATE TABLE job_events (
    job VARCHAR(32) NOT NULL,
    number INTEGER NOT NULL,
    kind VARCHAR(16) NOT NULL,
    data TEXT NOT NULL,
    at DOUBLE NOT NULL,
    CONSTRAINT pk_job_events PRIMARY KEY (job, number),
    CONSTRAINT fk_job_events_job_jobs FOREIGN KEY(job) REFERENCES jobs (id) ON DELETE CASCADE
);
CREATE TABLE job_waits (
    job VARCHAR(32) NOT NULL,
    waits_for VARCHAR(32) NOT NULL,
    CONSTRAINT pk_job_waits PRIMARY KEY (job, waits_for),
    CONSTRAINT fk_job_waits_job_jobs FOREIGN KEY(job) REFERENCES jobs (id) ON DELETE CASCADE,
    CONSTRAINT fk_job_waits_waits_for_jobs FOREIGN KEY(waits_for) REFERENCES jobs (id) ON DELETE CASCADE
);
CREATE TABLE listings (
    source INTEGER NOT NULL,
    project VARCHAR(255) NOT NULL,
    known INTEGER NOT NULL,
    revision VARCHAR(71) NOT NULL,
    etag TEXT,
    last_modified TEXT,
    body VARCHAR(71),
    checked_at DOUBLE NOT NULL,
    packed BLOB NOT NULL,
    CONSTRAINT pk_listings PRIMARY KEY (source, project),
    CONSTRAINT fk_listings_source_sources FOREIGN KEY(source) REFERENCES sources (id) ON DELETE CASCADE
);
CREATE TABLE hosted_files (
    source VARCHAR(64) NOT NULL,
    filename VARCHAR(512) NOT NULL,
    project VARCHAR(255) NOT NULL,
    version VARCHAR(255) NOT NULL,
    slot VARCHAR(512) NOT NULL,
    sha256 VARCHAR(64) NOT NULL,
    blake2b_256 VARCHAR(64) NOT NULL,
    size BIGINT NOT NULL,
    requires_python TEXT,
    metadata VARCHAR(71),
    metadata_size BIGINT,
    provenance VARCHAR(71),
    provenance_size BIGINT,
    uploaded_at DOUBLE NOT NULL,
    uploaded_by VARCHAR(255) NOT NULL,
    removed_at DOUBLE,
    removed_by VARCHAR(255),
    CONSTRAINT pk_hosted_files PRIMARY KEY (source, filename),
    CONSTRAINT uq_hosted_files_source_slot UNIQUE (source, slot),
    CONSTRAINT fk_hosted_files_source_hosted_releases FOREIGN KEY(source, project, version) REFERENCES hosted_releases (source, project, version)
);
CREATE INDEX ix_hosted_files_sha256 ON hosted_files (sha256);
CREATE INDEX ix_hosted_files_source_project ON hosted_files (source, project)
