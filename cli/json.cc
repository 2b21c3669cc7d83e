// SPDX-License-Identifier: MIT
#include "cli/json.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "cli/text.h"

namespace kvctl {
namespace {

using kvd::Reply;
using kvd::ReplyType;

using Json = nlohmann::ordered_json;

Json FromBytes(const std::string& bytes) {
  if (IsUtf8(bytes)) return bytes;
  return Json{{"b64", Base64(bytes)}};
}

Json FromReply(const Reply& reply);

Json FromMap(const Reply& reply) {
  Json object = Json::object();
  for (size_t i = 0; i + 1 < reply.elements.size(); i += 2) {
    const Reply& name = reply.elements[i];
    const std::string text = name.is_text() && IsUtf8(name.text)
                                 ? name.text
                                 : FromReply(name).dump();
    object[text] = FromReply(reply.elements[i + 1]);
  }
  return object;
}

Json FromReply(const Reply& reply) {
  switch (reply.type) {
    case ReplyType::kNull:
      return nullptr;
    case ReplyType::kStatus:
    case ReplyType::kString:
    case ReplyType::kVerbatim:
    case ReplyType::kBigNumber:
      return FromBytes(reply.text);
    case ReplyType::kError:
      return Json{{"error", FromBytes(reply.text)}};
    case ReplyType::kInteger:
      return reply.integer;
    case ReplyType::kBoolean:
      return reply.integer != 0;
    case ReplyType::kDouble:
      if (std::isfinite(reply.number)) return reply.number;
      return FromBytes(reply.text);  // JSON has no infinity.
    case ReplyType::kMap:
      return FromMap(reply);
    case ReplyType::kArray:
    case ReplyType::kSet:
    case ReplyType::kPush:
      break;
  }
  Json array = Json::array();
  for (const Reply& element : reply.elements) {
    array.push_back(FromReply(element));
  }
  return array;
}

std::string Quoted(std::string_view utf8) { return Json(utf8).dump(); }

}  // namespace

JsonObject& JsonObject::Bytes(std::string_view name, std::string_view bytes) {
  if (IsUtf8(bytes)) {
    Field(name, Quoted(bytes));
  } else {
    Field(std::string(name) + "_b64", Quoted(Base64(bytes)));
  }
  return *this;
}

JsonObject& JsonObject::Integer(std::string_view name, int64_t value) {
  Field(name, std::to_string(value));
  return *this;
}

JsonObject& JsonObject::Null(std::string_view name) {
  Field(name, "null");
  return *this;
}

JsonObject& JsonObject::Ttl(std::string_view name, int64_t ms) {
  return ms < 0 ? Null(name) : Integer(name, ms);
}

JsonObject& JsonObject::Value(std::string_view name, const Reply& reply) {
  Field(name, ToJson(reply));
  return *this;
}

void JsonObject::Field(std::string_view name, std::string_view json) {
  if (!fields_.empty()) fields_.push_back(',');
  fields_.append(Quoted(name)).append(":").append(json);
}

std::string ToJson(const Reply& reply) { return FromReply(reply).dump(); }

}  // namespace kvctl
