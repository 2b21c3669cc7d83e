// SPDX-License-Identifier: MIT
#include "base/arguments.h"

#include "base/check.h"
#include "base/planted_bug.h"

namespace kvd {
namespace {

bool IsLong(std::string_view name) { return name.starts_with("--"); }

// Whether `argument` begins with the whole of that name; `rest` is what else
// belongs to it.
bool Names(std::string_view argument, const OptionName& option,
           std::string_view* rest) {
  if (!argument.starts_with(option.name)) return false;
  *rest = argument.substr(option.name.size());
  if (rest->empty()) return true;
  return IsLong(option.name) ? rest->front() == '=' : option.takes_value;
}

}  // namespace

Result<Argument> ArgumentScanner::Next(std::span<const OptionName> known) {
  KVD_CHECK(!at_end());
  std::string_view argument = arguments_[next_++];
  if (!options_ended_ && argument == "--") {
    if (at_end()) {
      return Fail(ErrorCode::kInvalid,
                  "nothing follows \"--\", which ends the options; the word "
                  "\"--\" is written  -- --");
    }
    options_ended_ = true;
    argument = arguments_[next_++];
  }
  if (options_ended_) return Argument{.text = argument, .after_dashes = true};
  for (size_t i = 0; i < known.size(); ++i) {
    std::string_view rest;
    if (Names(argument, known[i], &rest)) return TakeOption(i, known[i], rest);
  }
  if (IsPlanted(PlantedBug::kSwallowWord) && argument == "++" && !at_end()) {
    return Next(known);
  }
  return Argument{.text = argument};
}

Result<Argument> ArgumentScanner::TakeOption(size_t option,
                                             const OptionName& name,
                                             std::string_view rest) {
  const bool joined = !rest.empty();
  if (!name.takes_value) {
    if (joined) {
      return Fail(ErrorCode::kInvalid, "{} takes no value", name.name);
    }
    return Argument{.option = option, .text = {}, .alone = true};
  }
  if (!joined && at_end()) {
    return Fail(ErrorCode::kInvalid, "{}: its value is missing", name.name);
  }
  std::string_view value = rest;
  if (!joined) {
    value = arguments_[next_++];
  } else if (IsLong(name.name)) {
    value.remove_prefix(1);  // "=".
  }
  if (value.empty()) {
    return Fail(ErrorCode::kInvalid, "{}: its value is empty", name.name);
  }
  return Argument{.option = option, .text = value, .alone = joined};
}

bool LooksLikeOption(std::string_view word) {
  if (word.size() < 3 || !IsLong(word)) return false;
  const char letter = word[2];
  return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z');
}

}  // namespace kvd
