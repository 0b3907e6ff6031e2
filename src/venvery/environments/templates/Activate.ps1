# Enter this environment with `. path/to/Activate.ps1`. `deactivate` leaves it.

if ($env:VIRTUAL_ENV -and (Test-Path Function:\deactivate)) {
    deactivate -NonDestructive
}

function global:deactivate ([switch] $NonDestructive) {
    if (Test-Path Variable:Global:_VenveryPath) {
        $env:PATH = $global:_VenveryPath
        Remove-Variable -Scope Global -Name _VenveryPath
    }
    if (Test-Path Variable:Global:_VenveryPythonHome) {
        $env:PYTHONHOME = $global:_VenveryPythonHome
        Remove-Variable -Scope Global -Name _VenveryPythonHome
    }
    if (Test-Path Function:\_VenveryPrompt) {
        Copy-Item -Path Function:_VenveryPrompt -Destination Function:global:prompt
        Remove-Item -Path Function:_VenveryPrompt
    }
    foreach ($name in 'VIRTUAL_ENV', 'VIRTUAL_ENV_PROMPT') {
        if (Test-Path "Env:$name") { Remove-Item "Env:$name" }
    }
    if (-not $NonDestructive) {
        Remove-Item -Path Function:deactivate
    }
}

@PLACE@
$env:VIRTUAL_ENV_PROMPT = @PROMPT@

$global:_VenveryPath = $env:PATH
$env:PATH = (Join-Path $env:VIRTUAL_ENV '@SCRIPTS@') + [System.IO.Path]::PathSeparator + $env:PATH

if (Test-Path Env:PYTHONHOME) {
    $global:_VenveryPythonHome = $env:PYTHONHOME
    Remove-Item Env:PYTHONHOME
}

if (-not $env:VIRTUAL_ENV_DISABLE_PROMPT) {
    Copy-Item -Path Function:prompt -Destination Function:global:_VenveryPrompt
    function global:prompt {
        Write-Host -NoNewline -ForegroundColor Green "($env:VIRTUAL_ENV_PROMPT) "
        _VenveryPrompt
    }
}
