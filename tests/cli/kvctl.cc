// SPDX-License-Identifier: MIT
#include "tests/cli/kvctl.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/check.h"
#include "base/unique_fd.h"
#include "tests/support/temp_dir.h"

namespace kvctl {
namespace {

using kvd::UniqueFd;

std::string ReadAll(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string ReadTerminal(int terminal) {
  std::string text;
  char chunk[4096];
  // The read fails with EIO once the other side is closed by all.
  for (ssize_t size; (size = ::read(terminal, chunk, sizeof chunk)) > 0;) {
    text.append(chunk, static_cast<size_t>(size));
  }
  return text;
}

std::vector<char*> Pointers(std::vector<std::string>* texts) {
  std::vector<char*> pointers;
  for (std::string& text : *texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

UniqueFd Open(const std::string& path, int flags) {
  UniqueFd file(::open(path.c_str(), flags | O_CLOEXEC, 0600));
  KVD_CHECK(file);
  return file;
}

int ShellCode(int status) {
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

// The master side of a new pseudo terminal; empty if there are none.
UniqueFd OpenTerminal() {
  UniqueFd terminal(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  const bool good = terminal && ::grantpt(terminal.get()) == 0 &&
                    ::unlockpt(terminal.get()) == 0;
  return good ? std::move(terminal) : UniqueFd();
}

}  // namespace

bool HasTerminals() { return static_cast<bool>(OpenTerminal()); }

Ran RunKvctl(const std::vector<std::string>& args, const RunOptions& options) {
  kvd::TempDir dir;
  std::string program = KVCTL_PATH;
  if (options.uid != 0) {
    // Others need not be able to look into the folder of the build.
    program = dir.Path("kvctl");
    std::filesystem::copy_file(KVCTL_PATH, program);
    KVD_CHECK(::chmod(dir.path().c_str(), 0711) == 0);
  }
  std::vector<std::string> words = {program};
  words.insert(words.end(), args.begin(), args.end());
  std::vector<std::string> env = options.env;
  const std::vector<char*> argv = Pointers(&words);
  const std::vector<char*> envp = Pointers(&env);

  std::ofstream(dir.Path("in"), std::ios::binary) << options.input;
  UniqueFd terminal;
  UniqueFd in;
  UniqueFd out;
  if (options.terminal) {
    terminal = OpenTerminal();
    KVD_CHECK(terminal);
    in = Open(::ptsname(terminal.get()), O_RDWR | O_NOCTTY);
  } else {
    in = Open(dir.Path("in"), O_RDONLY);
    out =
        Open(options.output_path.value_or(dir.Path("out")), O_WRONLY | O_CREAT);
  }
  UniqueFd err = Open(dir.Path("err"), O_WRONLY | O_CREAT);

  const pid_t child = ::fork();
  KVD_CHECK(child >= 0);
  if (child == 0) {
    ::dup2(in.get(), STDIN_FILENO);
    ::dup2(options.terminal ? in.get() : out.get(), STDOUT_FILENO);
    ::dup2(err.get(), STDERR_FILENO);
    if (options.uid != 0 && ::geteuid() == 0) {
      if (::setgid(options.uid) != 0 || ::setuid(options.uid) != 0) ::_exit(99);
    }
    // A shell starts its background jobs with SIGINT ignored.
    ::signal(SIGINT, SIG_DFL);
    ::execve(program.c_str(), argv.data(), envp.data());
    ::_exit(98);
  }
  in.Reset();
  Ran ran;
  if (options.terminal) ran.out = ReadTerminal(terminal.get());
  if (options.signal != 0) {
    ::usleep(100'000);
    ::kill(child, options.signal);
  }
  int status = 0;
  KVD_CHECK(::waitpid(child, &status, 0) == child);
  ran.code = ShellCode(status);
  if (!options.terminal) ran.out = ReadAll(dir.Path("out"));
  ran.err = ReadAll(dir.Path("err"));
  return ran;
}

}  // namespace kvctl
