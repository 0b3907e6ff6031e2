# Enter this environment with `source path/to/activate.fish`. `deactivate` leaves it.

if set -q VIRTUAL_ENV; and functions -q deactivate
    deactivate nondestructive
end

function deactivate -d 'Leave the virtual environment'
    if set -q _VENVERY_PATH
        set -gx PATH $_VENVERY_PATH
        set -e _VENVERY_PATH
    end
    if set -q _VENVERY_PYTHONHOME
        set -gx PYTHONHOME $_VENVERY_PYTHONHOME
        set -e _VENVERY_PYTHONHOME
    end
    if functions -q _venvery_prompt
        functions -e fish_prompt
        functions -c _venvery_prompt fish_prompt
        functions -e _venvery_prompt _venvery_status
    end
    set -e VIRTUAL_ENV
    set -e VIRTUAL_ENV_PROMPT
    if test "$argv[1]" != nondestructive
        functions -e deactivate
    end
end

@PLACE@
set -gx VIRTUAL_ENV_PROMPT @PROMPT@

set -g _VENVERY_PATH $PATH
set -gx PATH $VIRTUAL_ENV/@SCRIPTS@ $PATH

if set -q PYTHONHOME
    set -g _VENVERY_PYTHONHOME $PYTHONHOME
    set -e PYTHONHOME
end

if test -z "$VIRTUAL_ENV_DISABLE_PROMPT"; and functions -q fish_prompt
    functions -c fish_prompt _venvery_prompt
    function _venvery_status
        return $argv[1]
    end
    function fish_prompt
        # The prompt that was there before may show the last command's status: it is handed on.
        set -l last $status
        printf '(%s) ' $VIRTUAL_ENV_PROMPT
        _venvery_status $last
        _venvery_prompt
    end
end
