#!/bin/sh
# The interpreter of this environment, until it is first run: then it finds Python @PYTHON@ on PATH, writes
# down where that is, and gives its place to a link to it.

say () {
    printf '%s\n' "$0: $1" >&2
    [ -z "${2-}" ] || printf '%s\n' "hint: $2" >&2
    exit 127
}

# Another environment's unfinished interpreter is no interpreter.
[ -z "${VENVERY_COMPLETING-}" ] || exit 127

# Where this file is: as it was called, unless that was by a link from elsewhere.
self=$0
case $self in */*) ;; *) self=$(command -v -- "$self") ;; esac
while [ -h "$self" ] && [ ! -f "${self%/*}/../pyvenv.cfg" ]; do
    link=$(readlink -- "$self") || break
    case $link in /*) self=$link ;; *) self=${self%/*}/$link ;; esac
done
bin=$(CDPATH= cd -- "${self%/*}" && pwd) || say 'the folder of this environment is gone'
root=${bin%/*}
[ -f "$root/pyvenv.cfg" ] || say "there is no $root/pyvenv.cfg beside it" 'unpack the environment again'

# Print the real interpreter, its folder and its version when it is the right one: through shims and out of
# environments, by the versioned name where that is the same file.
probe='
import os, sys, sysconfig
threads = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
if "%d.%d" % sys.version_info[:2] + threads != "@PYTHON@" or sys.implementation.name != "cpython":
    sys.exit(1)
path = getattr(sys, "_base_executable", None) or sys.executable
for _ in range(9):
    folder = os.path.dirname(path)
    homes = []
    for cfg in (os.path.join(folder, "pyvenv.cfg"), os.path.join(os.path.dirname(folder), "pyvenv.cfg")):
        if os.path.isfile(cfg):
            with open(cfg, encoding="utf-8") as lines:
                for line in lines:
                    key, _, value = line.partition("=")
                    if key.strip().lower() == "home":
                        homes.append(value.strip())
    if not homes:
        break
    for name in ("python@PYTHON@", "python3", "python"):
        if os.access(os.path.join(homes[0], name), os.X_OK):
            path = os.path.join(homes[0], name)
            break
    else:
        sys.exit(1)
exact = os.path.join(os.path.dirname(path), "python@PYTHON@")
if os.path.exists(exact) and os.path.samefile(exact, path):
    path = exact
if not os.path.isabs(path) or "\n" in path:
    sys.exit(1)
print(path)
print(os.path.dirname(path))
print("%d.%d.%d" % sys.version_info[:3])
'

newline='
'
ask () {
    found=$(VENVERY_COMPLETING=1 "$1" -I -c "$probe" 2>/dev/null </dev/null) || return 1
    case $found in /*"$newline"/*"$newline"3.*) ;; *) return 1 ;; esac
}

# The first on PATH that is right, whatever it is called: so does a shell.
found=
IFS=:
set -f
for folder in ${PATH-}; do
    for name in python@PYTHON@ python3 python; do
        candidate=${folder:-.}/$name
        [ -f "$candidate" ] && [ -x "$candidate" ] || continue
        [ "$candidate" -ef "$bin/python" ] && continue
        if ask "$candidate"; then break 2; fi
        found=
    done
done
set +f
unset IFS
[ -n "$found" ] || say 'there is no Python @PYTHON@ on PATH, which this environment needs' \
    'install it, or put its folder on PATH, and run this again'

base=${found%%"$newline"*}
rest=${found#*"$newline"}
home=${rest%%"$newline"*}
version=${rest#*"$newline"}

# First pyvenv.cfg, then the link: whoever comes in between still finds this file. Two at once write the same.
config=$root/.pyvenv.cfg.$$
link=$bin/.python.$$
if {
    printf 'home = %s\n' "$home"
    while IFS= read -r line || [ -n "$line" ]; do
        case $line in 'home ='* | 'version ='*) ;; *) printf '%s\n' "$line" ;; esac
    done <"$root/pyvenv.cfg"
    printf 'version = %s\n' "$version"
} 2>/dev/null >"$config" && mv -f -- "$config" "$root/pyvenv.cfg" 2>/dev/null &&
    ln -s -- "$base" "$link" 2>/dev/null && mv -f -- "$link" "$bin/python" 2>/dev/null; then
    exec "$0" "$@"
fi
rm -f -- "$config" "$link" 2>/dev/null

# Nothing can be written here. An interpreter takes its environment from the name that it is called by, so this
# one is called by ours, if it finds its library that way.
call='import os, sys; os.execv(sys.argv[1], sys.argv[2:])'
check='import sys; sys.exit(sys.prefix != sys.argv[1])'
if "$base" -I -S -c "$call" "$base" "$bin/python" -I -c "$check" "$root" 2>/dev/null </dev/null; then
    exec "$base" -I -S -c "$call" "$base" "$bin/python" "$@"
fi
say "$root cannot be written to, and Python does not run in it without" \
    'run this once as a user who may write there, or ask for the environment with the path of Python'
