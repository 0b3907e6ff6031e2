@echo off
rem Enter this environment with `path\to\activate.bat`. `deactivate` leaves it.

if defined VIRTUAL_ENV call "%~dp0deactivate.bat"

for %%I in ("%~dp0..") do set "VIRTUAL_ENV=%%~fI"
set "VIRTUAL_ENV_PROMPT=@SHOWN@"

set "_VENVERY_PATH=%PATH%"
set "PATH=%VIRTUAL_ENV%\@SCRIPTS@;%PATH%"

if defined PYTHONHOME set "_VENVERY_PYTHONHOME=%PYTHONHOME%"
set "PYTHONHOME="

if not defined PROMPT set "PROMPT=$P$G"
if not defined VIRTUAL_ENV_DISABLE_PROMPT set "_VENVERY_PROMPT=%PROMPT%"
if not defined VIRTUAL_ENV_DISABLE_PROMPT set "PROMPT=(@SHOWN@) %PROMPT%"
