// SPDX-License-Identifier: MIT
#include "cli/command_line.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdlib>
#include <functional>
#include <limits>

#include "cli/duration.h"
#include "cli/suggest.h"
#include "cli/text.h"

namespace kvd {
namespace {

using std::chrono::milliseconds;

constexpr const char* kDefaultSocket = "/run/kvd/kvd.sock";
constexpr int64_t kDatabaseMax = 15;

milliseconds ReadDuration(const char* name, const std::string& text,
                          milliseconds bare_unit) {
  const std::optional<milliseconds> duration = ParseDuration(text, bare_unit);
  if (!duration) {
    throw CLI::ValidationError(
        name, fmt::format("{} is no duration, such as 250ms, 10s, 5m or 1h30m",
                          Quote(text)));
  }
  return *duration;
}

int64_t ReadInteger(const char* name, const std::string& text, int64_t min,
                    int64_t max) {
  int64_t value = 0;
  const char* last = text.data() + text.size();
  const auto [end, fault] = std::from_chars(text.data(), last, value);
  if (fault != std::errc() || end != last || value < min || value > max) {
    throw CLI::ValidationError(
        name,
        fmt::format("{} is no number from {} to {}", Quote(text), min, max));
  }
  return value;
}

// Usage first, then what it does, as people read it; examples last.
class HelpFormatter : public CLI::Formatter {
 public:
  HelpFormatter() { column_width(26); }

  std::string make_usage(const CLI::App* app, std::string) const override {
    const CLI::App* parent = app->get_parent();
    if (parent == nullptr) return "Usage: kvctl [OPTIONS] COMMAND …\n";
    for (const VerbRow& row : Verbs()) {
      if (app->get_name() != row.name) continue;
      return fmt::format("Usage: kvctl {} {}\n", row.name, row.words);
    }
    return "";
  }

  std::string make_option_opts(const CLI::Option* option) const override {
    if (option->get_positional() || option->get_type_size() == 0) return "";
    return " " + option->get_type_name();
  }
};

// The parser of one line, and where its values go.
class LineParser {
 public:
  LineParser() : app_("kvctl: talk to kvd, the durable key-value store") {
    app_.name("kvctl");
    app_.set_help_flag("-h,--help", "print this help");
    app_.formatter(std::make_shared<HelpFormatter>());
    app_.option_defaults()->multi_option_policy(
        CLI::MultiOptionPolicy::TakeLast);
    app_.require_subcommand(0, 1);
    // What is not understood stays in remaining(): the words of "call", or
    // something to complain about with a suggestion.
    app_.prefix_command();
    app_.set_version_flag("--version", "kvctl " KVD_VERSION,
                          "print the version");
    app_.footer(
        "kvctl COMMAND --help shows options and examples of a command.");
    DeclareOptions();
    for (const VerbRow& row : Verbs()) AddVerb(row);
  }

  Attempt<CommandLine> Parse(int argc, const char* const* argv) {
    try {
      app_.parse(argc, argv);
    } catch (const CLI::CallForHelp&) {
      line_.text = app_.help();
      return std::move(line_);
    } catch (const CLI::CallForVersion&) {
      line_.text = "kvctl " KVD_VERSION "\n";
      return std::move(line_);
    } catch (const CLI::ParseError& fault) {
      return Misused(fault.what());
    }
    return Chosen();
  }

 private:
  struct Declared {
    const VerbRow* row;
    CLI::App* app;
    std::unique_ptr<Verb> verb;
  };

  void DeclareOptions() {
    GlobalOptions& options = line_.options;
    const char* socket = std::getenv("KVD_SOCKET");
    options.socket =
        socket != nullptr && *socket != '\0' ? socket : kDefaultSocket;
    constexpr milliseconds kSeconds{1000};
    app_.add_option("--socket", options.socket,
                    "kvd's socket (default: $KVD_SOCKET or " +
                        std::string(kDefaultSocket) + ")")
        ->type_name("PATH");
    app_.add_option_function<std::string>(
            "--timeout",
            [&](const std::string& text) {
              options.timeout = ReadDuration("--timeout", text, kSeconds);
            },
            "how long to wait for a reply (default: 5s)")
        ->type_name("DURATION");
    app_.add_option_function<std::string>(
            "--wait",
            [&](const std::string& text) {
              options.wait = ReadDuration("--wait", text, kSeconds);
            },
            "how long to wait for kvd to be there and loaded (default: 0s)")
        ->type_name("DURATION");
    Arguments arguments(&app_);
    arguments.Integer("--db", "N", 0, kDatabaseMax, &options.db,
                      "the database, 0 to 15 (default: 0)");
    arguments.Flag("--json", &options.json, "print JSON, one value per line");
    arguments.Text("--color", "WHEN", &options.color,
                   "auto, always or never (default: auto)");
  }

  void AddVerb(const VerbRow& row) {
    CLI::App* app = app_.add_subcommand(row.name, row.summary);
    for (const char* alias : row.aliases) app->alias(alias);
    app->group("Commands");
    app->prefix_command(false);
    app->fallthrough();  // Options of all verbs may stand behind the verb.
    std::string footer = "Examples:";
    for (std::string_view rest = row.examples; !rest.empty();) {
      const size_t end = std::min(rest.find('\n'), rest.size());
      footer.append("\n  ").append(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    app->footer(footer + "\n\nkvctl --help shows the options of all commands.");
    declared_.push_back({&row, app, row.make()});
    Arguments arguments(app);
    declared_.back().verb->Declare(arguments);
  }

  Declared* Used() {
    for (Declared& declared : declared_) {
      if (declared.app->parsed()) return &declared;
    }
    return nullptr;
  }

  Attempt<CommandLine> Chosen() {
    Declared* used = Used();
    const std::vector<std::string> rest = app_.remaining();
    if (used == nullptr) {
      if (!rest.empty()) return NotUnderstood(rest[0]);
      line_.text = app_.help();
      line_.is_misuse = true;
      return std::move(line_);
    }
    if (Attempt<void> taken = TakeRest(*used, rest); !taken) {
      return Unexpected(std::move(taken).error());
    }
    const std::optional<std::string>& color = line_.options.color;
    if (color && *color != "auto" && *color != "always" && *color != "never") {
      return Misused("--color: " + Quote(*color) +
                     " is none of auto, always, never");
    }
    line_.row = used->row;
    line_.verb = std::move(used->verb);
    return std::move(line_);
  }

  Attempt<void> TakeRest(const Declared& used,
                         const std::vector<std::string>& rest) {
    if (used.verb->TakeRest(rest) || rest.empty()) return {};
    return NotUnderstood(rest[0]);
  }

  tl::unexpected<Failure> Misused(const std::string& why) {
    const Declared* used = Used();
    const std::string name = used != nullptr ? used->row->name : "";
    const std::string verb = name.empty() ? "" : name + " ";
    return Refuse(ExitCode::kUsage, "{}{}\n  See:  kvctl {}--help",
                  name.empty() ? "" : name + ": ", why, verb);
  }

  // An unknown command or option, with what was perhaps meant.
  tl::unexpected<Failure> NotUnderstood(const std::string& word) {
    const Declared* used = Used();
    const bool is_option = word.size() > 1 && word[0] == '-';
    if (!is_option && used != nullptr) {
      return Misused("unexpected argument " + Quote(word));
    }
    std::vector<std::string> known;
    if (is_option) {
      AppendOptions(app_, &known);
      if (used != nullptr) AppendOptions(*used->app, &known);
    } else {
      for (const VerbRow& row : Verbs()) {
        known.push_back(row.name);
        known.insert(known.end(), row.aliases.begin(), row.aliases.end());
      }
    }
    const std::string name =
        word.substr(0, is_option ? word.find('=') : word.npos);
    const std::string_view nearest = Nearest(name, known);
    const std::string kind = is_option ? "option" : "command";
    if (!nearest.empty()) {
      return Refuse(ExitCode::kUsage, "unknown {} {}. Did you mean {}?", kind,
                    Quote(name), Quote(nearest));
    }
    return Misused("unknown " + kind + " " + Quote(name));
  }

  static void AppendOptions(const CLI::App& app,
                            std::vector<std::string>* names) {
    for (const CLI::Option* option : app.get_options()) {
      for (const std::string& name : option->get_lnames()) {
        names->push_back("--" + name);
      }
    }
  }

  CLI::App app_;
  CommandLine line_;
  std::vector<Declared> declared_;
};

}  // namespace

void Arguments::Word(const char* name, std::string* value, const char* help) {
  app_->add_option(name, *value, help)->required();
}

void Arguments::OptionalWord(const char* name,
                             std::optional<std::string>* value,
                             const char* help) {
  app_->add_option_function<std::string>(
      name, [value](const std::string& text) { *value = text; }, help);
}

void Arguments::Words(const char* name, std::vector<std::string>* values,
                      bool required, const char* help) {
  app_->add_option(name, *values, help)
      ->required(required)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

void Arguments::Flag(const char* names, bool* value, const char* help) {
  app_->add_flag(names, *value, help);
}

void Arguments::Text(const char* names, const char* word,
                     std::optional<std::string>* value, const char* help) {
  app_->add_option_function<std::string>(
          names, [value](const std::string& text) { *value = text; }, help)
      ->type_name(word);
}

void Arguments::Integer(const char* names, const char* word, int64_t min,
                        int64_t max, std::optional<int64_t>* value,
                        const char* help) {
  app_->add_option_function<std::string>(
          names,
          [=](const std::string& text) {
            *value = ReadInteger(names, text, min, max);
          },
          help)
      ->type_name(word);
}

void Arguments::Duration(const char* names, milliseconds bare_unit,
                         std::optional<milliseconds>* value, const char* help,
                         bool required) {
  app_->add_option_function<std::string>(
          names,
          [=](const std::string& text) {
            *value = ReadDuration(names, text, bare_unit);
          },
          help)
      ->type_name("DURATION")
      ->required(required);
}

Attempt<CommandLine> ParseCommandLine(int argc, const char* const* argv) {
  return LineParser().Parse(argc, argv);
}

}  // namespace kvd
