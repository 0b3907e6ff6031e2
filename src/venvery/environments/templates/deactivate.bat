@echo off
rem Leave the environment that `activate.bat` has entered.

if defined _VENVERY_PATH set "PATH=%_VENVERY_PATH%"
if defined _VENVERY_PYTHONHOME set "PYTHONHOME=%_VENVERY_PYTHONHOME%"
if defined _VENVERY_PROMPT set "PROMPT=%_VENVERY_PROMPT%"

set "_VENVERY_PATH="
set "_VENVERY_PYTHONHOME="
set "_VENVERY_PROMPT="
set "VIRTUAL_ENV="
set "VIRTUAL_ENV_PROMPT="
