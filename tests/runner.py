# SPDX-License-Identifier: MIT
"""Builds and runs every test of kvd, stage by stage; see tests/run.

A failing stage does not stop the next one, so that one run shows all failures.
Logs of what failed are printed, and all are kept under build/tests/STAGE/.
"""

import argparse
import concurrent.futures
import functools
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PYTHON = "/usr/bin/python3"
LOGS = "build/tests"
JOBS = os.cpu_count() or 2
TEST_SECONDS_MAX = 900
FUZZ_SECONDS = 60
# What the stages that wait for networks and other servers may take together.
OUTSIDE_SECONDS_MAX = 12 * 60
# What is printed of the log of a failed test; the file has the rest.
LOG_LINES_MAX = 200

SANITIZER_OPTIONS = {
    "ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
}


class Counts:
    """What became of the test cases of a stage."""

    def __init__(self):
        self.passed = 0
        self.failed = []   # Names.
        self.skipped = []  # "name: reason".

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

    def add_outcome(self, name, outcome, reason=""):
        if outcome == "passed":
            self.passed += 1
        elif outcome == "skipped":
            self.skipped.append(f"{name}: {reason}" if reason else name)
        else:
            self.failed.append(name)

    def line(self):
        return (f"{self.passed} passed, {len(self.failed)} failed, "
                f"{len(self.skipped)} skipped")


def say(text):
    print(text, flush=True)


def show_log(path):
    """Prints the end of a log."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            lines = stream.read().splitlines()
    except OSError as error:
        lines = [str(error)]
    # Of a build, what went well tells nothing.
    lines = [line for line in lines if not re.match(r"\[\d+/\d+\] ", line)]
    if len(lines) > LOG_LINES_MAX:
        say(f"    | … {len(lines) - LOG_LINES_MAX} lines more in {path}")
    for line in lines[-LOG_LINES_MAX:]:
        say(f"    | {line}")


def run(command, log=None, env=None, cwd=None, seconds_max=None):
    """Runs a command in a group of its own, with no stdin; its exit code.

    On a timeout the whole group is killed and the code is None.
    """
    output = open(log, "wb") if log else None
    try:
        process = subprocess.Popen(
            command, cwd=cwd, env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT if output else None,
            start_new_session=True)
    except OSError as error:
        if output:
            output.write(f"{error}\n".encode())
        else:
            say(str(error))
        return 127
    finally:
        if output:
            output.close()
    try:
        return process.wait(seconds_max)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return None


def log_folder(stage):
    """An empty folder for what the stage leaves behind."""
    folder = os.path.join(LOGS, stage)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    return os.path.abspath(folder)


# --- Builds ------------------------------------------------------------------

def build(preset, *options, target="all"):
    """Configures and builds a preset; one test case."""
    counts = Counts()
    launcher = shutil.which("ccache")
    if launcher:
        options += (f"-DCMAKE_CXX_COMPILER_LAUNCHER={launcher}",)
        # What one clone has compiled serves the next, wherever it lies.
        os.environ.setdefault("CCACHE_BASEDIR", ROOT)
        if not os.access(os.path.expanduser("~"), os.W_OK):
            os.environ.setdefault("CCACHE_DIR", os.path.abspath("build/ccache"))
    log = os.path.join(log_folder(f"{preset}-build"), "build.log")
    configured = run(["cmake", "--preset", preset, "-DKVD_WERROR=ON", *options],
                     log)
    # After the first error the rest is built all the same, to show all errors.
    built = configured == 0 and run(
        ["cmake", "--build", "--preset", preset, "--target", target, "--",
         "-k", "0"],
        log + ".ninja")
    good = configured == 0 and built == 0
    counts.add_outcome(f"build {preset}", "passed" if good else "failed")
    if not good:
        show_log(log + ".ninja" if configured == 0 else log)
    return counts


# --- Unit tests --------------------------------------------------------------

def unit_tests(preset, label=None):
    """What ctest knows, as (name, command, properties)."""
    command = ["ctest", "--test-dir", f"build/{preset}", "--show-only=json-v1"]
    if label:
        command += ["-L", label]
    listing = subprocess.run(command, stdin=subprocess.DEVNULL, check=True,
                             stdout=subprocess.PIPE).stdout
    for test in json.loads(listing)["tests"]:
        properties = {p["name"]: p["value"] for p in test["properties"]}
        yield test["name"], test.get("command", []), properties


def count_gtest(name, report, code):
    """The cases of a GoogleTest report; None when it wrote none."""
    try:
        with open(report, encoding="utf-8") as stream:
            suites = json.load(stream)["testsuites"]
    except (OSError, ValueError, KeyError):
        return None
    counts = Counts()
    for suite in suites:
        for case in suite["testsuite"]:
            case_name = f"{name}: {suite['name']}.{case['name']}"
            if case.get("failures"):
                counts.add_outcome(case_name, "failed")
            elif case.get("status") == "NOTRUN":
                counts.add_outcome(case_name, "skipped", "disabled")
            elif case.get("result") == "SKIPPED":
                reason = case.get("skipped", [{}])[0].get("message", "")
                counts.add_outcome(case_name, "skipped", reason.strip())
            else:
                counts.add_outcome(case_name, "passed")
    if code != 0 and not counts.failed:
        counts.add_outcome(f"{name} (exit code {code})", "failed")
    return counts


def run_unit_test(folder, name, command, properties):
    log = os.path.join(folder, f"{name}.log")
    report = os.path.join(folder, f"{name}.json")
    env = {"GTEST_OUTPUT": f"json:{report}", "GTEST_COLOR": "no",
           **SANITIZER_OPTIONS}
    env.update(pair.split("=", 1) for pair in properties.get("ENVIRONMENT", []))
    code = run(command, log, env, properties.get("WORKING_DIRECTORY"),
               properties.get("TIMEOUT", TEST_SECONDS_MAX)) if command else 127
    counts = Counts()
    if code is None:
        counts.add_outcome(f"{name} (timeout)", "failed")
    elif code < 0:
        counts.add_outcome(f"{name} ({signal.Signals(-code).name})", "failed")
    else:
        counts = count_gtest(name, report, code)
        if counts is None:
            counts = Counts()
            counts.add_outcome(name, "passed" if code == 0 else "failed")
    return counts, log


def in_parallel(work, items):
    """Runs work(*item) for all items on all cores; shows failures as they come.

    work returns Counts and the path of a log.
    """
    total = Counts()
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for future in concurrent.futures.as_completed(
                [pool.submit(work, *item) for item in items]):
            counts, log = future.result()
            for name in counts.failed:
                say(f"  FAILED {name}")
            if counts.failed:
                show_log(log)
            total.add(counts)
    return total


def units(preset, label=None, required=()):
    """Runs the unit tests of a build, which must have those required."""
    folder = log_folder(f"{preset}-unit")
    try:
        tests = list(unit_tests(preset, label))
    except (subprocess.CalledProcessError, OSError, ValueError) as error:
        say(f"  {error}")
        tests = []
    counts = in_parallel(run_unit_test, [(folder, *test) for test in tests])
    if not tests:
        counts.add_outcome(f"{preset}: no unit tests found", "failed")
    for name in set(required) - {name for name, *_ in tests}:
        counts.add_outcome(f"{preset}: {name} is not built", "failed")
    return counts


# --- Tests in Python ---------------------------------------------------------

def run_python_test(folder, path, env, deadline=float("inf")):
    name = os.path.splitext(os.path.relpath(path, "tests"))[0].replace("/", ".")
    log = os.path.join(folder, f"{name}.log")
    report = os.path.join(folder, f"{name}.json")
    seconds_left = max(0, deadline - time.monotonic())
    code = run([PYTHON, "tests/e2e/run.py", path, report], log, env,
               seconds_max=min(TEST_SECONDS_MAX, seconds_left))
    counts = Counts()
    try:
        with open(report, encoding="utf-8") as stream:
            for case, (outcome, reason) in json.load(stream).items():
                counts.add_outcome(case, outcome, reason)
    except (OSError, ValueError):
        counts.add_outcome(f"{name} ({'timeout' if code is None else code})",
                           "failed")
    if code != 0 and not counts.failed:
        counts.add_outcome(f"{name} (exit code {code})", "failed")
    return counts, log


def sanitizer_reports(folder):
    """What daemons said that a test may have killed and not looked at."""
    counts = Counts()
    for path in sorted(glob.glob(os.path.join(folder, "sanitizer.*"))):
        counts.add_outcome(f"sanitizer report {os.path.basename(path)}",
                           "failed")
        show_log(path)
    return counts


def e2e(kind, pattern="tests/e2e/**/test_*.py"):
    paths = set(glob.glob(pattern, recursive=True))
    return e2e_files(f"{kind}-e2e", kind, sorted(paths - set(outside_tests())))


def e2e_files(stage, kind, paths, more_env=None, deadline=float("inf")):
    folder = log_folder(stage)
    env = {"KVD_BIN_DIR": os.path.abspath(f"build/{kind}/bin"),
           "KVD_E2E_KIND": kind, **(more_env or {})}
    for name, value in SANITIZER_OPTIONS.items():
        env[name] = f"{value}:log_path={folder}/sanitizer"
    counts = in_parallel(run_python_test,
                         [(folder, path, env, deadline) for path in paths])
    counts.add(sanitizer_reports(folder))
    if not paths:
        counts.add_outcome(f"{kind}: no end-to-end tests found", "failed")
    return counts


def python_tests(stage, *patterns, deadline=float("inf")):
    folder = log_folder(stage)
    env = {"KVD_BIN_DIR": os.path.abspath("build/release/bin")}
    paths = sorted(path for pattern in patterns for path in glob.glob(pattern))
    return in_parallel(run_python_test,
                       [(folder, path, env, deadline) for path in paths])


# What depends on other programs and their downloads: end-to-end tests that have
# stages of their own.
_OUTSIDE = {
    "node": "tests/e2e/libraries/test_node.py",
    "etcd": "tests/e2e/etcd/test_*.py",
}


def outside_tests(*names):
    """The files of those, or of all."""
    return sorted(path for name in names or _OUTSIDE
                  for path in glob.glob(_OUTSIDE[name]))


class SharedTime:
    """Time that several stages have together: tests that it does not suffice for
    fail."""

    def __init__(self, seconds):
        self.seconds = seconds

    def spend(self, stage):
        start = time.monotonic()
        counts = stage(deadline=start + self.seconds)
        self.seconds -= time.monotonic() - start
        return counts


OUTSIDE_TIME = SharedTime(OUTSIDE_SECONDS_MAX)


def outside(kind, name):
    return OUTSIDE_TIME.spend(functools.partial(
        e2e_files, f"{kind}-{name}", kind, outside_tests(name)))


# What holds wherever the data are.
_CONFORMANCE = [f"tests/e2e/commands/test_{name}.py" for name in (
    "awkward_words", "beside_redis", "bounds", "clients", "commands", "pubsub",
    "queues", "rate_limits", "scripts", "transactions")]


def etcd_commands(kind):
    """The conformance tests with the data in etcd."""
    stage = f"{kind}-etcd-commands"
    if not os.path.exists(f"build/{kind}/bin/kvd-etcd"):
        counts = Counts()
        counts.add_outcome(stage, "skipped", "kvd-etcd is not built")
        return counts
    return OUTSIDE_TIME.spend(functools.partial(
        e2e_files, stage, kind, _CONFORMANCE, {"KVD_E2E_BACKEND": "etcd"}))


def systemd():
    return OUTSIDE_TIME.spend(functools.partial(
        python_tests, "systemd", "tests/systemd/test_*.py"))


# --- Fuzzers and checks ------------------------------------------------------

def fuzz_one(folder, binary):
    name = re.sub(r"_fuzz(er)?$", "", os.path.basename(binary))
    corpus = os.path.join("tests/fuzz/corpus", name)
    found = os.path.join(folder, f"{name}-found")
    os.makedirs(found)
    log = os.path.join(folder, f"{name}.log")
    counts = Counts()
    if not os.path.isdir(corpus) or not os.listdir(corpus):
        with open(log, "w", encoding="utf-8") as stream:
            stream.write(f"{corpus} holds nothing to start from\n")
        counts.add_outcome(f"fuzz {name} (no corpus)", "failed")
        return counts, log
    # New inputs go to the first folder; the kept corpus is only read.
    code = run([binary, f"-max_total_time={FUZZ_SECONDS}", "-timeout=20",
                "-rss_limit_mb=2048", f"-artifact_prefix={folder}/{name}-",
                found, corpus], log, SANITIZER_OPTIONS,
               seconds_max=FUZZ_SECONDS + TEST_SECONDS_MAX)
    counts.add_outcome(f"fuzz {name}", "passed" if code == 0 else "failed")
    return counts, log


def fuzz():
    folder = log_folder("fuzz")
    binaries = sorted(glob.glob(os.path.abspath("build/fuzz/bin/*_fuzz*")))
    counts = in_parallel(fuzz_one, [(folder, binary) for binary in binaries])
    if not binaries:
        counts.add_outcome("no fuzzers found", "failed")
    return counts


def checks():
    folder = log_folder("checks")
    counts = Counts()
    for path in sorted(glob.glob("tests/check_*.py")):
        name = os.path.splitext(os.path.basename(path))[0]
        log = os.path.join(folder, f"{name}.log")
        good = run([PYTHON, path], log, seconds_max=TEST_SECONDS_MAX) == 0
        counts.add_outcome(name, "passed" if good else "failed")
        if not good:
            say(f"  FAILED {name}")
            show_log(log)
    counts.add(python_tests("checks-own", "tests/*_test.py"))
    return counts


# --- Stages ------------------------------------------------------------------

# Name, what it does. What a stage needs built is the stage before it.
STAGES = {
    "checks": checks,
    "release-build": lambda: build("release", "-DKVD_TESTS=ON", "-DKVD_ETCD=ON"),
    "release-unit": lambda: units("release"),
    "release-e2e": lambda: e2e("release"),
    # Without what is optional.
    "bare-build": lambda: build("bare", target="kvd"),
    "bare-e2e": lambda: e2e("bare", "tests/e2e/commands/test_scripts.py"),
    "systemd": systemd,
    "release-node": lambda: outside("release", "node"),
    "release-etcd": lambda: outside("release", "etcd"),
    "release-etcd-commands": lambda: etcd_commands("release"),
    "asan-build": lambda: build("asan", "-DKVD_ETCD=ON"),
    # A release has no bugs that tests could plant.
    "asan-unit": lambda: units("asan", required=["planted_bugs_test"]),
    "asan-e2e": lambda: e2e("asan"),
    "asan-node": lambda: outside("asan", "node"),
    "asan-etcd": lambda: outside("asan", "etcd"),
    "tsan-build": lambda: build("tsan", target="threaded_tests"),
    "tsan-unit": lambda: units("tsan", label="threaded"),
    "tsan-e2e": lambda: e2e("tsan"),
    # The programs themselves need not be built by clang.
    "fuzz-build": lambda: build("fuzz", target="tests/fuzz/all"),
    "fuzz": fuzz,
}
QUICK_STAGES = [name for name in STAGES
                if not name.startswith(("asan", "tsan", "fuzz")) and
                "-etcd" not in name]


def run_stages(names):
    table, total = [], Counts()
    for name in names:
        say(f"\n=== {name}")
        start = time.monotonic()
        counts = STAGES[name]()
        seconds = time.monotonic() - start
        say(f"--- {name}: {counts.line()} in {seconds:.0f} s")
        table.append((name, counts, seconds))
        total.add(counts)

    say(f"\n{'stage':<22}{'passed':>8}{'failed':>8}{'skipped':>8}{'s':>8}")
    for name, counts, seconds in table:
        say(f"{name:<22}{counts.passed:>8}{len(counts.failed):>8}"
            f"{len(counts.skipped):>8}{seconds:>8.0f}")
    for name, counts, _ in table:
        for case in counts.skipped:
            say(f"skipped in {name}: {case}")
    for name, counts, _ in table:
        for case in counts.failed:
            say(f"FAILED in {name}: {case}")
    return total


# --- Campaigns ---------------------------------------------------------------

# Unit tests that do more of the same when a variable tells how much: name,
# binary, variable.
_UNIT_CAMPAIGNS = [
    # Images that are taken of each crash.
    ("crash", "crash_test", "KVD_CRASH_CHOICES"),
    # Random lives of a store.
    ("random", "random_test", "KVD_SEEDS"),
    # Damaged directories, salvaged.
    ("salvage", "salvage_test", "KVD_SEEDS"),
]


def campaigns(count):
    """The long tests that only run when asked for: name, command, variables.

    Beside those above: programs tests/e2e/campaigns/campaign_NAME.py and
    NAME_campaign, which take the count as their argument.
    """
    found = {}
    for path in glob.glob("tests/e2e/campaigns/campaign_*.py"):
        name = os.path.basename(path)[len("campaign_"):-len(".py")]
        found[name] = [PYTHON, path, count], {}
    for path in glob.glob("build/release/bin/*_campaign"):
        name = os.path.basename(path)[:-len("_campaign")]
        found[name] = [os.path.abspath(path), count], {}
    for name, binary, variable in _UNIT_CAMPAIGNS:
        path = os.path.abspath(os.path.join("build/release/bin", binary))
        if os.path.exists(path):
            found[name] = [path], {variable: count}
    return found


def run_campaign(name, count):
    total = build("release", "-DKVD_TESTS=ON", "-DKVD_ETCD=ON")
    if total.failed:
        return total
    known = campaigns(count)
    if name == "list":
        for known_name in sorted(known):
            say(known_name)
    elif name not in known:
        say(f"no campaign \"{name}\"; there are: {', '.join(sorted(known))}")
        total.add_outcome(f"campaign {name}", "failed")
    else:
        command, variables = known[name]
        code = run(command, env={
            "KVD_BIN_DIR": os.path.abspath("build/release/bin"),
            "KVD_E2E_KIND": "release", **variables})
        total.add_outcome(f"campaign {name}",
                          "passed" if code == 0 else "failed")
    return total


def without_address_randomisation():
    """Starts this program again with a fixed address space, where permitted.

    The sanitizers of GCC 12 and clang 14 give up on kernels that randomise more
    bits than they know.
    """
    wrap = ["setarch", os.uname().machine, "-R"]
    if "KVD_FIXED_ADDRESSES" in os.environ or run(
            wrap + ["true"], os.devnull) != 0:
        return
    os.environ["KVD_FIXED_ADDRESSES"] = "1"
    os.execvp(wrap[0],
              wrap + [PYTHON, os.path.abspath(__file__)] + sys.argv[1:])


def main():
    os.chdir(ROOT)
    parser = argparse.ArgumentParser(prog="tests/run")
    parser.add_argument("--quick", action="store_true",
                        help="release only: no sanitizers, no fuzzers, no etcd")
    parser.add_argument("--campaign", nargs="+", metavar=("NAME", "COUNT"),
                        help="run a long campaign COUNT times; NAME may be "
                        "\"list\"")
    parser.add_argument("stages", nargs="*", metavar="STAGE",
                        help="only these: " + " ".join(STAGES))
    arguments = parser.parse_args()
    unknown = set(arguments.stages) - set(STAGES)
    if unknown:
        parser.error(f"unknown stage {' '.join(sorted(unknown))}; there are: "
                     f"{' '.join(STAGES)}")
    if arguments.campaign and len(arguments.campaign) > 2:
        parser.error("--campaign takes NAME and COUNT")

    without_address_randomisation()
    start = time.monotonic()
    if arguments.campaign:
        name, count = (arguments.campaign + ["1"])[:2]
        total = run_campaign(name, count)
    else:
        total = run_stages(arguments.stages or (
            QUICK_STAGES if arguments.quick else STAGES))
    minutes, seconds = divmod(int(time.monotonic() - start), 60)
    say(f"\n{minutes} min {seconds} s")
    say(total.line())
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
