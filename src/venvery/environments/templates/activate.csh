# Enter this environment with `source path/to/activate.csh`, from csh or tcsh. `deactivate` leaves it.

if ( $?VIRTUAL_ENV ) then
    if ( "`alias deactivate`" != "" ) then
        deactivate nondestructive
    endif
endif

alias deactivate 'test $?_venvery_path = 1 && setenv PATH "$_venvery_path:q" && unset _venvery_path; test $?_venvery_pythonhome = 1 && setenv PYTHONHOME "$_venvery_pythonhome:q" && unset _venvery_pythonhome; test $?_venvery_prompt = 1 && set prompt = "$_venvery_prompt:q" && unset _venvery_prompt; unsetenv VIRTUAL_ENV; unsetenv VIRTUAL_ENV_PROMPT; rehash; test "\!:*" = nondestructive || unalias deactivate'

@PLACE@
setenv VIRTUAL_ENV_PROMPT @PROMPT@

set _venvery_path = "$PATH:q"
setenv PATH "${VIRTUAL_ENV:q}/@SCRIPTS@:${PATH:q}"

if ( $?PYTHONHOME ) then
    set _venvery_pythonhome = "$PYTHONHOME:q"
    unsetenv PYTHONHOME
endif

if ( ! $?VIRTUAL_ENV_DISABLE_PROMPT ) then
    if ( $?prompt ) then
        set _venvery_prompt = "$prompt:q"
        set prompt = "(@SHOWN@) $prompt:q"
    endif
endif

rehash
