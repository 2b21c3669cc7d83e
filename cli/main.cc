// SPDX-License-Identifier: MIT
//
// kvctl, the command line of kvd. Thin: it parses arguments, sends commands and
// prints replies.
#include <fmt/format.h>
#include <unistd.h>

#include <string>
#include <utility>

#include "base/standard_streams.h"
#include "cli/command_line.h"
#include "cli/failure.h"
#include "cli/output.h"
#include "cli/session.h"

namespace {

using kvctl::Attempt;
using kvctl::ExitCode;

constexpr const char* kBoldRed = "\x1b[1;31m";
constexpr const char* kPlain = "\x1b[0m";

int Fail(const kvctl::Failure& failure, std::string_view color_choice) {
  const bool color = kvctl::WantsColor(STDERR_FILENO, color_choice);
  kvctl::WriteError(fmt::format("{}kvctl:{} {}\n", color ? kBoldRed : "",
                                color ? kPlain : "", failure.text));
  return static_cast<int>(failure.code);
}

Attempt<ExitCode> Run(const kvctl::CommandLine& line, kvctl::Output* output) {
  kvctl::Session session(line.options, line.row->writes, output);
  Attempt<ExitCode> code = line.verb->Run(session);
  // What was printed before a failure is still wanted, but the first cause
  // counts.
  Attempt<void> flushed = output->Flush();
  if (code && !flushed) return kvctl::Unexpected(std::move(flushed).error());
  return code;
}

int PrintText(const kvctl::CommandLine& line) {
  if (line.is_misuse) {
    kvctl::WriteError(line.text);
    return static_cast<int>(ExitCode::kUsage);
  }
  kvctl::Output output(STDOUT_FILENO);
  output.Write(line.text);
  const Attempt<void> flushed = output.Flush();
  if (!flushed) return Fail(flushed.error(), "auto");
  return static_cast<int>(ExitCode::kOk);
}

}  // namespace

int main(int argc, char** argv) {
  if (!kvd::KeepStandardStreams()) return static_cast<int>(ExitCode::kLocalIo);
  const Attempt<kvctl::CommandLine> line = kvctl::ParseCommandLine(argc, argv);
  if (!line) return Fail(line.error(), "auto");
  if (line->row == nullptr) return PrintText(*line);

  kvctl::Output output(STDOUT_FILENO);
  const Attempt<ExitCode> code = Run(*line, &output);
  if (!code) return Fail(code.error(), line->options.color.value_or("auto"));
  return static_cast<int>(*code);
}
