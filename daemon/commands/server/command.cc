// SPDX-License-Identifier: MIT
//
// COMMAND: the table of commands as clients read it. ACL: the one user there
// is, and the categories of that table.
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "daemon/commands/handlers.h"
#include "daemon/commands/support.h"
#include "daemon/commands/text.h"

namespace kvd {
namespace {

std::string_view NameOf(CommandGroup group) {
  switch (group) {
    case CommandGroup::kString:
      return "string";
    case CommandGroup::kBitmap:
      return "bitmap";
    case CommandGroup::kGeneric:
      return "generic";
    case CommandGroup::kConnection:
      return "connection";
    case CommandGroup::kServer:
      return "server";
    case CommandGroup::kKv:
      return "kv";
    case CommandGroup::kTransactions:
      return "transactions";
    case CommandGroup::kScripting:
      return "scripting";
    case CommandGroup::kPubSub:
      return "pubsub";
  }
  return "";
}

// "client" or "client|list".
std::string FullName(const Command* container, const Command& command) {
  if (container == nullptr) return LowerName(command);
  return LowerName(*container) + "|" + LowerName(command);
}

std::vector<std::string_view> FlagsOf(const Command& command) {
  std::vector<std::string_view> flags;
  if (!command.subcommands.empty()) return flags;
  if (command.access == Access::kWrite) flags.push_back("write");
  if (command.access == Access::kRead) flags.push_back("readonly");
  if (command.access == Access::kAdmin) flags.push_back("admin");
  if ((command.flags & kDenyOom) != 0) flags.push_back("denyoom");
  if (command.group == CommandGroup::kPubSub) flags.push_back("pubsub");
  if ((command.flags & kNoScript) != 0) flags.push_back("noscript");
  if ((command.flags & kLoading) != 0) {
    flags.push_back("loading");
    flags.push_back("stale");
  }
  if ((command.flags & kFast) != 0) flags.push_back("fast");
  if ((command.flags & kNoAuth) != 0) flags.push_back("no_auth");
  if (command.keys.count != 0) flags.push_back("movablekeys");
  if ((command.flags & kNoMulti) != 0) flags.push_back("no_multi");
  if ((command.flags & kNoSlowLog) != 0) flags.push_back("skip_slowlog");
  if ((command.flags & kReachesOthers) != 0) flags.push_back("may_replicate");
  return flags;
}

std::vector<std::string> CategoriesOf(const Command& command) {
  std::vector<std::string> categories;
  if (command.access == Access::kWrite) categories.push_back("@write");
  if (command.access == Access::kRead) categories.push_back("@read");
  if (command.access == Access::kAdmin) categories.push_back("@admin");
  if (command.group == CommandGroup::kGeneric)
    categories.push_back("@keyspace");
  if (command.group == CommandGroup::kString) categories.push_back("@string");
  if (command.group == CommandGroup::kBitmap) categories.push_back("@bitmap");
  if (command.group == CommandGroup::kConnection)
    categories.push_back("@connection");
  if (command.group == CommandGroup::kKv) categories.push_back("@kv");
  if (command.group == CommandGroup::kTransactions)
    categories.push_back("@transaction");
  if (command.group == CommandGroup::kScripting)
    categories.push_back("@scripting");
  if (command.group == CommandGroup::kPubSub) categories.push_back("@pubsub");
  if ((command.flags & kDangerous) != 0) categories.push_back("@dangerous");
  categories.push_back((command.flags & kFast) != 0 ? "@fast" : "@slow");
  return categories;
}

void ReplyKeyRange(Call& call, const KeySpec& keys) {
  call.reply.Bulk("range");
  call.reply.Bulk("spec");
  call.reply.MapHeader(3);
  call.reply.Bulk("lastkey");
  // Counted from the first key.
  call.reply.Integer(keys.last < 0 ? keys.last : keys.last - keys.first);
  call.reply.Bulk("keystep");
  call.reply.Integer(keys.step);
  call.reply.Bulk("limit");
  call.reply.Integer(0);
}

// Both places are counted from the word that says how many there are.
void ReplyKeyNumber(Call& call, const KeySpec& keys) {
  call.reply.Bulk("keynum");
  call.reply.Bulk("spec");
  call.reply.MapHeader(3);
  call.reply.Bulk("keynumidx");
  call.reply.Integer(0);
  call.reply.Bulk("firstkey");
  call.reply.Integer(keys.first - keys.count);
  call.reply.Bulk("keystep");
  call.reply.Integer(keys.step);
}

void ReplyKeySpecification(Call& call, const Command& command) {
  const KeySpec& keys = command.keys;
  if (keys.first == 0) return call.reply.ArrayHeader(0);
  call.reply.ArrayHeader(1);
  call.reply.MapHeader(3);
  call.reply.Bulk("flags");
  call.reply.SetHeader(1);
  call.reply.SimpleString(command.access == Access::kWrite ? "RW" : "RO");
  call.reply.Bulk("begin_search");
  call.reply.MapHeader(2);
  call.reply.Bulk("type");
  call.reply.Bulk("index");
  call.reply.Bulk("spec");
  call.reply.MapHeader(1);
  call.reply.Bulk("index");
  call.reply.Integer(keys.count != 0 ? keys.count : keys.first);
  call.reply.Bulk("find_keys");
  call.reply.MapHeader(2);
  call.reply.Bulk("type");
  if (keys.count != 0) {
    ReplyKeyNumber(call, keys);
  } else {
    ReplyKeyRange(call, keys);
  }
}

void ReplyInfo(Call& call, const Command* container, const Command& command) {
  constexpr size_t kFields = 10;
  call.reply.ArrayHeader(kFields);
  call.reply.Bulk(FullName(container, command));
  call.reply.Integer(command.arity());
  const auto flags = FlagsOf(command);
  call.reply.SetHeader(flags.size());
  for (const auto flag : flags) call.reply.SimpleString(flag);
  // Clients that know no more than this look for no keys where it cannot say.
  const KeySpec keys = command.keys.count != 0 ? KeySpec() : command.keys;
  call.reply.Integer(keys.first);
  call.reply.Integer(keys.last);
  call.reply.Integer(keys.step);
  const auto categories = CategoriesOf(command);
  call.reply.SetHeader(categories.size());
  for (const auto& category : categories) call.reply.SimpleString(category);
  call.reply.ArrayHeader(0);  // Tips.
  ReplyKeySpecification(call, command);
  call.reply.ArrayHeader(command.subcommands.size());
  for (const Command& subcommand : command.subcommands) {
    ReplyInfo(call, &command, subcommand);
  }
}

// One argument of a command's syntax, for clients that show hints.
struct Argument {
  std::string text;
  bool optional = false;
  bool multiple = false;
};

// The end of the word or bracketed part that begins at `start`.
size_t EndOfPart(std::string_view syntax, size_t start) {
  int depth = 0;
  size_t i = start;
  for (; i < syntax.size() && (depth > 0 || syntax[i] != ' '); ++i) {
    if (syntax[i] == '[') ++depth;
    if (syntax[i] == ']') --depth;
  }
  return i;
}

std::vector<Argument> ArgumentsOf(std::string_view syntax) {
  std::vector<Argument> arguments;
  for (size_t start = 0; start < syntax.size();) {
    const size_t end = EndOfPart(syntax, start);
    std::string_view part = syntax.substr(start, end - start);
    start = end + 1;
    Argument argument;
    if (part.starts_with('[')) {
      argument.optional = true;
      part = part.substr(1, part.size() - 2);
    }
    // "key [key ...]" is one argument that repeats.
    if (part.ends_with(" ...") && !arguments.empty() &&
        part.substr(0, part.size() - 4) == arguments.back().text) {
      arguments.back().multiple = true;
      continue;
    }
    argument.text = part;
    arguments.push_back(std::move(argument));
  }
  return arguments;
}

void ReplyArgument(Call& call, const Argument& argument) {
  const bool has_flags = argument.optional || argument.multiple;
  const bool is_key = argument.text == "key";
  call.reply.MapHeader(2 + (is_key ? 1 : 0) + (has_flags ? 1 : 0));
  call.reply.Bulk("name");
  call.reply.Bulk(argument.text);
  call.reply.Bulk("type");
  call.reply.Bulk(is_key ? "key" : "string");
  if (is_key) {
    call.reply.Bulk("key_spec_index");
    call.reply.Integer(0);
  }
  if (!has_flags) return;
  call.reply.Bulk("flags");
  call.reply.SetHeader((argument.optional ? 1 : 0) +
                       (argument.multiple ? 1 : 0));
  if (argument.optional) call.reply.SimpleString("optional");
  if (argument.multiple) call.reply.SimpleString("multiple");
}

void ReplyDocs(Call& call, const Command* container, const Command& command) {
  const auto arguments = ArgumentsOf(command.syntax);
  call.reply.Bulk(FullName(container, command));
  call.reply.MapHeader(4 + (arguments.empty() ? 0 : 1) +
                       (command.subcommands.empty() ? 0 : 1));
  call.reply.Bulk("summary");
  call.reply.Bulk(command.summary);
  call.reply.Bulk("since");
  call.reply.Bulk(command.since);
  call.reply.Bulk("group");
  call.reply.Bulk(NameOf(command.group));
  call.reply.Bulk("complexity");
  call.reply.Bulk(command.complexity);
  if (!arguments.empty()) {
    call.reply.Bulk("arguments");
    call.reply.ArrayHeader(arguments.size());
    for (const Argument& argument : arguments) ReplyArgument(call, argument);
  }
  if (command.subcommands.empty()) return;
  call.reply.Bulk("subcommands");
  call.reply.MapHeader(command.subcommands.size());
  for (const Command& subcommand : command.subcommands) {
    ReplyDocs(call, &command, subcommand);
  }
}

struct Named {
  const Command* container = nullptr;
  const Command* command = nullptr;
};

// Finds "get" and "client|list".
Named FindByFullName(std::string_view name) {
  const size_t bar = name.find('|');
  const Command* command = FindCommand(name.substr(0, bar));
  if (bar == std::string_view::npos || command == nullptr) {
    return {nullptr, command};
  }
  return {command, FindSubcommand(*command, name.substr(bar + 1))};
}

bool InCategory(const Command& command, std::string_view category) {
  for (const std::string& own : CategoriesOf(command)) {
    if (SameWord(std::string_view(own).substr(1), category)) return true;
  }
  return false;
}

}  // namespace

void HandleCommand(Call& call) {
  call.reply.ArrayHeader(Commands().size());
  for (const Command& command : Commands()) ReplyInfo(call, nullptr, command);
}

void HandleCommandCount(Call& call) {
  call.reply.Integer(static_cast<int64_t>(Commands().size()));
}

void HandleCommandInfo(Call& call) {
  const auto names = call.args.subspan(2);
  if (names.empty()) return HandleCommand(call);
  call.reply.ArrayHeader(names.size());
  for (const std::string_view name : names) {
    const Named named = FindByFullName(name);
    if (named.command == nullptr) {
      call.reply.Null();
    } else {
      ReplyInfo(call, named.container, *named.command);
    }
  }
}

void HandleCommandDocs(Call& call) {
  std::vector<Named> wanted;
  for (const std::string_view name : call.args.subspan(2)) {
    const Named named = FindByFullName(name);
    if (named.command != nullptr) wanted.push_back(named);
  }
  if (call.args.size() == 2) {
    for (const Command& command : Commands()) {
      wanted.push_back({nullptr, &command});
    }
  }
  call.reply.MapHeader(wanted.size());
  for (const Named& named : wanted) {
    ReplyDocs(call, named.container, *named.command);
  }
}

void HandleCommandGetKeys(Call& call) {
  const auto words = call.args.subspan(2);
  const Command* command = FindCommand(words[0]);
  if (command != nullptr && words.size() > 1 && !command->subcommands.empty()) {
    command = FindSubcommand(*command, words[1]);
  }
  if (command == nullptr) {
    return call.reply.Error("ERR Invalid command specified");
  }
  if (command->keys.first == 0) {
    return call.reply.Error("ERR The command has no key arguments");
  }
  if (words.size() < static_cast<size_t>(command->words_min) ||
      words.size() > static_cast<size_t>(command->words_max)) {
    return call.reply.Error(
        "ERR Invalid number of arguments specified for command");
  }
  if (command->keys.count != 0 && !CountedKeys(command->keys, words)) {
    return call.reply.Error("ERR Invalid arguments specified for command");
  }
  std::vector<std::string_view> keys;
  ForEachKey(*command, words, [&](size_t i) { keys.push_back(words[i]); });
  call.reply.ArrayHeader(keys.size());
  for (const std::string_view key : keys) call.reply.Bulk(key);
}

void HandleCommandList(Call& call) {
  const auto words = call.args.subspan(2);
  const bool filtered = words.size() == 3 && IsWord(words[0], "FILTERBY");
  if (!words.empty() && !filtered) return call.reply.Error(kSyntaxError);
  std::optional<Glob> glob;
  if (filtered && IsWord(words[1], "PATTERN")) {
    glob = PatternWord(call, 4, /*ignore_case=*/true);
    if (!glob) return;
  }
  std::vector<std::string> names;
  for (const Command& command : Commands()) {
    std::string name = LowerName(command);
    bool wanted = true;
    if (glob) {
      wanted = glob->Matches(name);
    } else if (filtered && IsWord(words[1], "ACLCAT")) {
      wanted = InCategory(command, words[2]);
    } else if (filtered && IsWord(words[1], "MODULE")) {
      wanted = false;
    } else if (filtered) {
      return call.reply.Error(kSyntaxError);
    }
    if (wanted) names.push_back(std::move(name));
  }
  call.reply.ArrayHeader(names.size());
  for (const std::string& name : names) call.reply.Bulk(name);
}

void HandleCommandHelp(Call& call) {
  constexpr std::string_view kLines[] = {
      "COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
      "(no subcommand)",
      "    Return details about all commands.",
      "COUNT",
      "    Return the total number of commands.",
      "DOCS [<command-name> ...]",
      "    Return documentation details about commands.",
      "GETKEYS <full-command>",
      "    Return the keys of a full command.",
      "INFO [<command-name> ...]",
      "    Return details about commands.",
      "LIST [FILTERBY (MODULE|ACLCAT|PATTERN) <value>]",
      "    Return the names of commands.",
      "HELP",
      "    Print this help.",
  };
  ReplyLines(call, kLines);
}

// Without a category all of them, else its commands. Source: Redis.
void HandleAclCat(Call& call) {
  std::set<std::string> names;
  bool known = call.args.size() == 2;
  for (const CommandRow& row : CommandRows()) {
    for (const std::string& category : CategoriesOf(*row.command)) {
      const std::string_view name = std::string_view(category).substr(1);
      if (call.args.size() == 2) {
        names.emplace(name);
      } else if (SameWord(call.args[2], name)) {
        names.insert(LowerName(row));
        known = true;
      }
    }
  }
  if (!known) {
    return call.reply.Error(
        fmt::format("ERR Unknown category '{}'", Quoted(call.args[2])));
  }
  call.reply.ArrayHeader(names.size());
  for (const std::string& name : names) call.reply.Bulk(name);
}

// Who may connect may do everything: that is up to the socket's permissions.
void HandleAclList(Call& call) {
  call.reply.ArrayHeader(1);
  call.reply.Bulk("user default on nopass sanitize-payload ~* &* +@all");
}

void HandleAclUsers(Call& call) {
  call.reply.ArrayHeader(1);
  call.reply.Bulk("default");
}

void HandleAclWhoAmI(Call& call) { call.reply.Bulk("default"); }

void HandleAclHelp(Call& call) {
  constexpr std::string_view kLines[] = {
      "ACL <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
      "CAT [<category>]",
      "    List all commands that belong to <category>, or all categories.",
      "LIST",
      "    Show the one user there is.",
      "USERS",
      "    Show its name.",
      "WHOAMI",
      "    Return the name of the connection's user.",
      "HELP",
      "    Print this help.",
  };
  ReplyLines(call, kLines);
}

}  // namespace kvd
