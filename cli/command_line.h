// SPDX-License-Identifier: MIT
//
// The words of the command line become options and a verb.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/declared.h"
#include "cli/failure.h"
#include "cli/verbs/verb.h"

namespace kvctl {

// Where a verb declares what it takes. Names are as in "--ttl" or "-n,--limit",
// words in capitals; the values are set when the line is parsed and must live
// until then. Words are taken in the order in which they are declared.
class Arguments {
 public:
  explicit Arguments(Declarations* declared) : declared_(*declared) {}

  void Word(const char* name, std::string* value, const char* help);
  void OptionalWord(const char* name, std::optional<std::string>* value,
                    const char* help);
  void OptionalWord(const char* name, WordOrInput* value, const char* help);
  // All words that are left.
  void Words(const char* name, std::vector<std::string>* values, bool required,
             const char* help);
  // All words that are left, as they are: after the first one nothing is an
  // option.
  void Verbatim(const char* name, std::vector<std::string>* values,
                const char* help);
  void Flag(const char* names, bool* value, const char* help);
  void Text(const char* names, const char* word,
            std::optional<std::string>* value, const char* help);
  // Refuses numbers outside of `min` … `max`. Capitals declare an optional
  // word.
  void Integer(const char* names, const char* word, int64_t min, int64_t max,
               std::optional<int64_t>* value, const char* help);
  // A number without a unit counts `bare_unit`. Capitals declare a word.
  void Duration(const char* names, std::chrono::milliseconds bare_unit,
                std::optional<std::chrono::milliseconds>* value,
                const char* help);

 private:
  using Set = std::function<Attempt<void>(std::string_view)>;

  void Add(const char* names, const char* value_name, const char* help,
           Set set);

  Declarations& declared_;
};

// What applies to every verb.
struct GlobalOptions {
  std::string socket;
  // kvd on etcd says after 5 s (etcd.timeout) that etcd does not answer.
  std::chrono::milliseconds timeout{6000};
  std::chrono::milliseconds wait{0};
  std::optional<int64_t> db;
  bool json = false;
  std::optional<std::string> color;  // always, never or auto
};

struct CommandLine {
  GlobalOptions options;
  // Null when there is only `text` to print: help or the version, or, with
  // is_misuse, help for a line that has no verb, or words beside --help.
  const VerbRow* row = nullptr;
  std::unique_ptr<Verb> verb;
  std::string text;
  bool is_misuse = false;
};

// Usage faults are Failures of kUsage.
Attempt<CommandLine> ParseCommandLine(int argc, const char* const* argv);

// The help of a verb by its name or an alias; the general one for "". An
// unknown name is a usage fault.
Attempt<std::string> HelpText(const std::string& verb);

}  // namespace kvctl
