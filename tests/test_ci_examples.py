"""The CI examples: valid YAML, real commands, and exit codes that mean what the docs say."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from qa import cli

DOCS = Path(__file__).parents[1] / "docs" / "ci"
GITHUB = yaml.safe_load((DOCS / "github-actions.yml").read_text())
GITLAB = yaml.safe_load((DOCS / "gitlab-ci.yml").read_text())


def scripts():
    """Every shell script of the examples, by name."""
    found = {
        f"github {job}/{step.get('name', place)}": step["run"]
        for job, body in GITHUB["jobs"].items()
        for place, step in enumerate(body["steps"])
        if "run" in step
    }
    for job, body in GITLAB.items():
        if "script" in body:
            found[f"gitlab {job}"] = "\n".join(body["script"])
    return found


SCRIPTS = scripts()


def commands(script):
    """The `qa` commands of a shell script."""
    joined = script.replace("\\\n", " ")
    return re.findall(
        r"(?:^|[\s;(])(qa (?:run|report|judge|plan|baseline|repro)\b[^\n|;&>)#]*)", joined
    )


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_scripts_are_shell(name):
    done = subprocess.run(["bash", "-n"], input=SCRIPTS[name], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert subprocess.run(["bash", "-n"], input="if x", capture_output=True, text=True).returncode


def test_the_commands_exist():
    found = [line for script in SCRIPTS.values() for line in commands(script)]
    found += commands((DOCS / "README.md").read_text())
    assert len(found) >= 6
    parser = cli._parser()
    for line in found:
        words = [word.replace("…", "").replace("$", "") for word in shlex.split(line)[1:]]
        parser.parse_args([word for word in words if word])
    with pytest.raises(SystemExit):  # the check can fail
        parser.parse_args(["report", "RUN", "--format", "docx"])


@pytest.mark.parametrize("code", [0, 1, 2, 3, 4, 5])
def test_github_decides_by_the_exit_code(code, tmp_path):
    steps = [step for job in GITHUB["jobs"].values() for step in job["steps"]]
    decide = next(step for step in steps if step.get("name") == "Decide")
    assert "always()" in decide["if"]
    done = subprocess.run(
        ["bash", "-e", "-c", decide["run"]], env={"CODE": str(code), "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == (0 if code in (0, 4) else code)
    assert ("::warning" in done.stdout) == (code == 4)


def test_a_step_that_never_ran_does_not_pass():
    steps = [step for job in GITHUB["jobs"].values() for step in job["steps"]]
    decide = next(step for step in steps if step.get("name") == "Decide")
    done = subprocess.run(
        ["bash", "-e", "-c", decide["run"]], env={"CODE": "", "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode != 0


def fake(folder, code):
    """A `qa` that judges with this exit code, and a curl that must not be called."""
    bin_ = folder / "bin"
    bin_.mkdir()
    qa = f"""#!/bin/bash
echo "qa $*" >> {folder}/calls
if [ "$1" = run ]; then mkdir -p runs/candidate; touch runs/candidate/verdict.json; exit {code}; fi
touch "${{@: -1}}"
"""
    for name, text in {
        "qa": qa,
        "python": "#!/bin/bash\n",
        "curl": "#!/bin/bash\nexit 9\n",
    }.items():
        (bin_ / name).write_text(text)
        (bin_ / name).chmod(0o755)
    return {"PATH": f"{bin_}:/usr/bin:/bin"}


@pytest.mark.parametrize("code", [0, 3, 4, 5])
def test_gitlab_reports_and_then_ends_with_the_verdict(code, tmp_path):
    script = SCRIPTS["gitlab decoder-qa"]
    done = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", script], env=fake(tmp_path, code), cwd=tmp_path,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert (tmp_path / "qa-junit.xml").is_file()
    assert GITLAB["decoder-qa"]["allow_failure"] == {"exit_codes": [4]}
    assert GITLAB["decoder-qa"]["artifacts"]["reports"]["junit"] == "qa-junit.xml"


def test_permissions_are_no_wider_than_the_comment_needs():
    assert GITHUB["permissions"] == {"contents": "read", "pull-requests": "write"}
    # nothing that a pull request's author wrote is pasted into a script
    for script in SCRIPTS.values():
        assert "${{" not in script
