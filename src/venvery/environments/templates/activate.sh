# Enter this environment with `. path/to/activate`, from sh, dash, bash, ksh or zsh. `deactivate` leaves it.

# An environment that is active now is left first, in its own way.
if [ -n "${VIRTUAL_ENV-}" ] && command -v deactivate >/dev/null 2>&1; then
    deactivate nondestructive
fi

deactivate () {
    if [ -n "${_VENVERY_PATH+x}" ]; then
        PATH=$_VENVERY_PATH
        export PATH
        unset _VENVERY_PATH
    fi
    if [ -n "${_VENVERY_PYTHONHOME+x}" ]; then
        PYTHONHOME=$_VENVERY_PYTHONHOME
        export PYTHONHOME
        unset _VENVERY_PYTHONHOME
    fi
    if [ -n "${_VENVERY_PS1+x}" ]; then
        PS1=$_VENVERY_PS1
        unset _VENVERY_PS1
    fi
    unset VIRTUAL_ENV VIRTUAL_ENV_PROMPT
    hash -r 2>/dev/null || :
    if [ "${1-}" != nondestructive ]; then
        unset -f deactivate
    fi
}

@PLACE@
case $(uname 2>/dev/null) in
    CYGWIN* | MSYS* | MINGW*) VIRTUAL_ENV=$(cygpath -u "$VIRTUAL_ENV") ;;
esac
VIRTUAL_ENV_PROMPT=@PROMPT@
export VIRTUAL_ENV VIRTUAL_ENV_PROMPT

_VENVERY_PATH=${PATH-}
PATH=$VIRTUAL_ENV/@SCRIPTS@${PATH:+:$PATH}
export PATH

if [ -n "${PYTHONHOME+x}" ]; then
    _VENVERY_PYTHONHOME=$PYTHONHOME
    unset PYTHONHOME
fi

if [ -z "${VIRTUAL_ENV_DISABLE_PROMPT-}" ]; then
    _VENVERY_PS1=${PS1-}
    PS1="(@SHOWN@) ${PS1-}"
fi

hash -r 2>/dev/null || :
