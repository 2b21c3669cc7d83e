// SPDX-License-Identifier: MIT
#include "cli/command_line.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <limits>
#include <utility>

#include "base/arguments.h"
#include "cli/duration.h"
#include "cli/help.h"
#include "cli/suggest.h"
#include "cli/text.h"

namespace kvctl {
namespace {

using kvd::Argument;
using kvd::ArgumentScanner;
using kvd::LooksLikeOption;
using kvd::OptionName;

using std::chrono::milliseconds;

constexpr const char* kDefaultSocket = "/run/kvd/kvd.sock";
constexpr int64_t kDatabaseMax = 15;
constexpr milliseconds kSecond{1000};

Attempt<milliseconds> ReadDuration(std::string_view text,
                                   milliseconds bare_unit) {
  const std::optional<milliseconds> duration = ParseDuration(text, bare_unit);
  if (duration) return *duration;
  return Refuse(ExitCode::kUsage,
                "{} is not a duration such as 250ms, 10s, 5m or 1h30m",
                Quote(text));
}

Attempt<int64_t> ReadInteger(std::string_view text, int64_t min, int64_t max) {
  int64_t value = 0;
  const char* last = text.data() + text.size();
  const auto [end, fault] = std::from_chars(text.data(), last, value);
  if (fault == std::errc() && end == last && value >= min && value <= max) {
    return value;
  }
  return Refuse(ExitCode::kUsage, "{} is not a number from {} to {}",
                Quote(text), min, max);
}

const VerbRow* FindVerb(std::string_view name) {
  for (const VerbRow& row : Verbs()) {
    if (row.name == name) return &row;
    for (const char* alias : row.aliases) {
      if (alias == name) return &row;
    }
  }
  return nullptr;
}

tl::unexpected<Failure> Misused(const VerbRow* row, const std::string& why) {
  const std::string name = row != nullptr ? row->name : "";
  return Refuse(ExitCode::kUsage, "{}{}\n  See:  kvctl {}--help",
                name.empty() ? "" : name + ": ", why,
                name.empty() ? "" : name + " ");
}

tl::unexpected<Failure> UnknownVerb(const std::string& name) {
  std::vector<std::string> known;
  for (const VerbRow& row : Verbs()) {
    known.push_back(row.name);
    known.insert(known.end(), row.aliases.begin(), row.aliases.end());
  }
  const std::string_view nearest = Nearest(name, known);
  if (nearest.empty())
    return Misused(nullptr, "unknown command " + Quote(name));
  return Refuse(ExitCode::kUsage, "unknown command {}. Did you mean {}?",
                Quote(name), Quote(nearest));
}

// The name in an argument that is written like an option.
std::string NameOf(std::string_view argument) {
  return std::string(argument.substr(0, argument.find('=')));
}

std::string_view WithoutDashes(std::string_view name) {
  return name.substr(std::min(name.find_first_not_of('-'), name.size()));
}

// The parser of one line, and where its values go.
class LineParser {
 public:
  LineParser() {
    Arguments arguments(&globals_);
    arguments.Text("--socket", "PATH", &socket_,
                   "kvd's socket (default: $KVD_SOCKET or /run/kvd/kvd.sock)");
    arguments.Duration("--timeout", kSecond, &timeout_,
                       "how long to wait for a reply (default: 6s)");
    arguments.Duration(
        "--wait", kSecond, &wait_,
        "how long to wait for kvd to start and load its data (default: 0s)");
    arguments.Integer("--db", "N", 0, kDatabaseMax, &line_.options.db,
                      "the database, 0 to 15 (default: 0)");
    arguments.Flag("--json", &line_.options.json,
                   "print JSON, one value per line");
    arguments.Text("--color", "WHEN", &line_.options.color,
                   "auto, always or never (default: auto)");
    arguments.Flag("--version", &asks_version_, "print the version");
  }

  Attempt<CommandLine> Parse(int argc, const char* const* argv) {
    ArgumentScanner scanner(argc, argv);
    Learn();
    while (!scanner.at_end()) {
      kvd::Result<Argument> argument = scanner.Next(known_);
      if (!argument) return Misused(row_, argument.error().message());
      KVD_TRY(argument->is_word() ? TakeWord(*argument, scanner)
                                  : TakeOption(*argument));
    }
    if (asks_help_ || asks_version_) return TextInstead();
    if (row_ == nullptr) return NoVerb();
    KVD_TRY(CheckWords());
    KVD_TRY(SetWords());
    KVD_TRY(Resolve());
    line_.row = row_;
    line_.verb = std::move(verb_);
    return std::move(line_);
  }

  std::string Help() const { return GeneralHelp(globals_); }

 private:
  // Makes the scanner's list of names: "-h", then those of kvctl, then those of
  // the verb.
  void Learn() {
    known_ = {{"-h", false}, {"--help", false}};
    setters_ = {nullptr, nullptr};
    for (const Declarations* declared : {&globals_, &declared_}) {
      for (const DeclaredOption& option : declared->options) {
        for (const std::string& name : option.names) {
          // After the verb it may be a key or a value.
          if (row_ != nullptr && name == "--version") continue;
          known_.push_back({name, !option.value_name.empty()});
          setters_.push_back(&option);
        }
      }
    }
  }

  Attempt<void> TakeWord(const Argument& argument, ArgumentScanner& scanner) {
    if (row_ == nullptr) return TakeVerb(argument);
    words_.push_back(argument);
    if (declared_.words.size() == 1 && declared_.words[0].ends_options) {
      if (words_.size() == 1 && !argument.after_dashes &&
          LooksLikeOption(argument.text)) {
        return UnknownOption(std::string(argument.text));
      }
      scanner.EndOptions();
    }
    return {};
  }

  Attempt<void> TakeVerb(const Argument& argument) {
    const std::string name(argument.text);
    if (name.size() > 1 && name[0] == '-' && !argument.after_dashes) {
      return UnknownOption(name);
    }
    row_ = FindVerb(name);
    if (row_ == nullptr) return UnknownVerb(name);
    verb_ = row_->make();
    Arguments arguments(&declared_);
    verb_->Declare(arguments);
    Learn();
    return {};
  }

  Attempt<void> TakeOption(const Argument& argument) {
    const std::string_view name = known_[argument.option].name;
    if (row_ != nullptr && argument.alone && lone_option_.empty()) {
      lone_option_ = name;
      if (!argument.text.empty()) {
        lone_option_.append(name.starts_with("--") ? "=" : "")
            .append(argument.text);
      }
    }
    const DeclaredOption* option = setters_[argument.option];
    if (option == nullptr) {
      asks_help_ = true;
      return {};
    }
    if (Attempt<void> set = option->set(argument.text); !set) {
      return Misused(row_, fmt::format("{}: {}", name, set.error().text));
    }
    return {};
  }

  // Where words were given, help or the version is not all that was asked for:
  // a script whose key is "--help" must not believe that it was stored.
  Attempt<CommandLine> TextInstead() {
    line_.text = !asks_help_       ? "kvctl " KVD_VERSION "\n"
                 : row_ == nullptr ? Help()
                                   : VerbHelp(*row_, declared_);
    line_.is_misuse =
        !words_.empty() || (row_ != nullptr && asks_version_ && !asks_help_);
    return std::move(line_);
  }

  Attempt<CommandLine> NoVerb() {
    line_.text = Help();
    line_.is_misuse = true;
    return std::move(line_);
  }

  // Refuses too few and too many words, and those that were probably meant to
  // be options.
  Attempt<void> CheckWords() {
    size_t needed = 0;
    bool takes_any = false;
    for (const DeclaredWord& word : declared_.words) {
      using Count = DeclaredWord::Count;
      const bool must =
          word.count == Count::kOne || word.count == Count::kOneOrMore;
      if (must && words_.size() <= needed) {
        return Misused(row_, word.name + " is required");
      }
      if (must) ++needed;
      takes_any = word.count == Count::kAny || word.count == Count::kOneOrMore;
    }
    const bool too_many = !takes_any && words_.size() > declared_.words.size();
    if (declared_.words.size() == 1 && declared_.words[0].ends_options) {
      return {};
    }
    for (const Argument& word : words_) {
      if (word.after_dashes || !LooksLikeOption(word.text)) continue;
      if (too_many) return UnknownOption(std::string(word.text));
      KVD_TRY(CheckMistyped(std::string(word.text),
                            takes_any && words_.size() > 1));
    }
    if (!too_many) return {};
    const Argument& extra = words_[declared_.words.size()];
    return Misused(row_, "unexpected argument " + Quote(extra.text));
  }

  // A key may begin with dashes. But a word that is nearly an option is
  // refused, and so is any word like an option in a list: "del k --revision 41"
  // must not delete k whatever its revision.
  Attempt<void> CheckMistyped(const std::string& word, bool in_list) {
    std::vector<std::string> known;
    for (const std::string& name : LongNames()) {
      known.emplace_back(WithoutDashes(name));
    }
    const std::string name = NameOf(word);
    const std::string_view nearest = Nearest(WithoutDashes(name), known);
    if (nearest.empty() && !in_list) return {};
    std::string words;
    for (const Argument& given : words_) words += " " + Escape(given.text);
    const std::string instead = fmt::format(
        "\n  If it is a key or a value:  kvctl {} --{}", row_->name, words);
    if (nearest.empty()) {
      return Refuse(ExitCode::kUsage, "{}: unknown option {}{}", row_->name,
                    Quote(name), instead);
    }
    return Refuse(ExitCode::kUsage,
                  "unknown option {}. Did you mean \"--{}\"?{}", Quote(name),
                  nearest, instead);
  }

  tl::unexpected<Failure> UnknownOption(const std::string& word) {
    const std::vector<std::string> known = LongNames();
    const std::string name = NameOf(word);
    const std::string_view nearest = Nearest(name, known);
    if (nearest.empty()) return Misused(row_, "unknown option " + Quote(name));
    return Refuse(ExitCode::kUsage, "unknown option {}. Did you mean {}?",
                  Quote(name), Quote(nearest));
  }

  std::vector<std::string> LongNames() const {
    std::vector<std::string> names;
    for (const OptionName& option : known_) {
      if (option.name.starts_with("--")) names.emplace_back(option.name);
    }
    return names;
  }

  // After CheckWords().
  Attempt<void> SetWords() {
    size_t next = 0;
    for (const DeclaredWord& declared : declared_.words) {
      using Count = DeclaredWord::Count;
      const bool takes_any =
          declared.count == Count::kAny || declared.count == Count::kOneOrMore;
      if (next == words_.size() && declared.or_input != nullptr) {
        declared.or_input->option_instead = lone_option_;
      }
      do {
        if (next == words_.size()) break;
        KVD_TRY(SetWord(declared, words_[next++]));
      } while (takes_any);
    }
    return {};
  }

  Attempt<void> SetWord(const DeclaredWord& declared, const Argument& word) {
    WordOrInput* or_input = declared.or_input;
    if (or_input != nullptr && word.text == "-" && !word.after_dashes) {
      or_input->asks_for_input = true;
      return {};
    }
    if (Attempt<void> set = declared.set(word.text); !set) {
      return Misused(row_,
                     fmt::format("{}: {}", declared.name, set.error().text));
    }
    return {};
  }

  // Fills in what no option has set, from the environment or with defaults.
  Attempt<void> Resolve() {
    GlobalOptions& options = line_.options;
    const char* variable = std::getenv("KVD_SOCKET");
    options.socket =
        socket_.value_or(variable != nullptr ? variable : kDefaultSocket);
    options.timeout = timeout_.value_or(options.timeout);
    options.wait = wait_.value_or(options.wait);
    const std::optional<std::string>& color = options.color;
    if (color && *color != "auto" && *color != "always" && *color != "never") {
      return Misused(row_, "--color: " + Quote(*color) +
                               " is none of auto, always, never");
    }
    return {};
  }

  CommandLine line_;
  std::optional<std::string> socket_;
  std::optional<milliseconds> timeout_;
  std::optional<milliseconds> wait_;
  bool asks_help_ = false;
  bool asks_version_ = false;

  const VerbRow* row_ = nullptr;
  std::unique_ptr<Verb> verb_;
  Declarations globals_;
  Declarations declared_;  // By the verb.
  std::vector<OptionName> known_;
  std::vector<const DeclaredOption*> setters_;  // Null for help.

  std::vector<Argument> words_;
  // The first option after the verb that is a single argument, as a word would
  // be; empty when there is none.
  std::string lone_option_;
};

std::vector<std::string> Split(std::string_view names) {
  std::vector<std::string> parts;
  while (true) {
    const size_t comma = names.find(',');
    parts.emplace_back(names.substr(0, comma));
    if (comma == names.npos) return parts;
    names.remove_prefix(comma + 1);
  }
}

}  // namespace

void Arguments::Add(const char* names, const char* value_name, const char* help,
                    Set set) {
  declared_.options.push_back({Split(names), value_name, help, std::move(set)});
}

void Arguments::Word(const char* name, std::string* value, const char* help) {
  declared_.words.push_back({.name = name,
                             .help = help,
                             .count = DeclaredWord::Count::kOne,
                             .set = [value](std::string_view text) {
                               *value = text;
                               return Attempt<void>();
                             }});
}

void Arguments::OptionalWord(const char* name,
                             std::optional<std::string>* value,
                             const char* help) {
  declared_.words.push_back({.name = name,
                             .help = help,
                             .count = DeclaredWord::Count::kAtMostOne,
                             .set = [value](std::string_view text) {
                               value->emplace(text);
                               return Attempt<void>();
                             }});
}

void Arguments::OptionalWord(const char* name, WordOrInput* value,
                             const char* help) {
  OptionalWord(name, &value->word, help);
  declared_.words.back().or_input = value;
}

void Arguments::Words(const char* name, std::vector<std::string>* values,
                      bool required, const char* help) {
  using Count = DeclaredWord::Count;
  declared_.words.push_back(
      {.name = name,
       .help = help,
       .count = required ? Count::kOneOrMore : Count::kAny,
       .set = [values](std::string_view text) {
         values->emplace_back(text);
         return Attempt<void>();
       }});
}

void Arguments::Verbatim(const char* name, std::vector<std::string>* values,
                         const char* help) {
  Words(name, values, /*required=*/false, help);
  declared_.words.back().ends_options = true;
}

void Arguments::Flag(const char* names, bool* value, const char* help) {
  Add(names, "", help, [value](std::string_view) {
    *value = true;
    return Attempt<void>();
  });
}

void Arguments::Text(const char* names, const char* word,
                     std::optional<std::string>* value, const char* help) {
  Add(names, word, help, [value](std::string_view text) {
    value->emplace(text);
    return Attempt<void>();
  });
}

void Arguments::Integer(const char* names, const char* word, int64_t min,
                        int64_t max, std::optional<int64_t>* value,
                        const char* help) {
  const auto set = [=](std::string_view text) -> Attempt<void> {
    KVD_TRY_ASSIGN(*value, ReadInteger(text, min, max));
    return {};
  };
  if (names[0] == '-') return Add(names, word, help, set);
  declared_.words.push_back({.name = names,
                             .help = help,
                             .count = DeclaredWord::Count::kAtMostOne,
                             .set = set});
}

void Arguments::Duration(const char* names, milliseconds bare_unit,
                         std::optional<milliseconds>* value, const char* help) {
  const auto set = [=](std::string_view text) -> Attempt<void> {
    KVD_TRY_ASSIGN(*value, ReadDuration(text, bare_unit));
    return {};
  };
  if (names[0] == '-') return Add(names, "DURATION", help, set);
  declared_.words.push_back({.name = names,
                             .help = help,
                             .count = DeclaredWord::Count::kOne,
                             .set = set});
}

Attempt<CommandLine> ParseCommandLine(int argc, const char* const* argv) {
  return LineParser().Parse(argc, argv);
}

Attempt<std::string> HelpText(const std::string& verb) {
  if (verb.empty()) return LineParser().Help();
  const VerbRow* row = FindVerb(verb);
  if (row == nullptr) return UnknownVerb(verb);
  Declarations declared;
  Arguments arguments(&declared);
  row->make()->Declare(arguments);
  return VerbHelp(*row, declared);
}

}  // namespace kvctl
