// SPDX-License-Identifier: MIT
#include "cli/verbs/status/status_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "cli/json.h"
#include "cli/text.h"

namespace kvctl {
namespace {

using kvd::Reply;

std::string Shown(const Reply& value) {
  if (value.is_text()) return Escape(value.text);
  return value.is_null() ? "-" : ToJson(value);
}

}  // namespace

StatusFields::StatusFields(const Reply& reply) {
  for (size_t i = 0; i + 1 < reply.elements.size(); i += 2) {
    fields_.emplace_back(reply.elements[i].text, reply.elements[i + 1]);
  }
}

std::optional<std::string> StatusFields::Text(std::string_view name) {
  const std::optional<Reply> value = Take(name);
  if (!value) return {};
  return Shown(*value);
}

std::optional<int64_t> StatusFields::Integer(std::string_view name) {
  const std::optional<Reply> value = Take(name);
  if (!value) return {};
  if (value->type == kvd::ReplyType::kInteger) return value->integer;
  int64_t number = 0;
  const char* last = value->text.data() + value->text.size();
  const auto [end, fault] = std::from_chars(value->text.data(), last, number);
  if (fault != std::errc() || end != last) return {};
  return number;
}

std::string StatusFields::Rest() const {
  std::string lines;
  for (const auto& [name, value] : fields_) {
    lines += fmt::format("{} {}\n", Escape(name), Shown(value));
  }
  return lines;
}

std::optional<Reply> StatusFields::Take(std::string_view name) {
  const auto found =
      std::find_if(fields_.begin(), fields_.end(),
                   [&](const auto& field) { return field.first == name; });
  if (found == fields_.end()) return {};
  Reply value = std::move(found->second);
  fields_.erase(found);
  return value;
}

}  // namespace kvctl
