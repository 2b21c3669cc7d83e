// SPDX-License-Identifier: MIT
#include "daemon/script/values.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <cstring>

#include "daemon/script/context.h"

namespace kvd {
namespace {

// Elements of any kind cost about this much to read or write.
constexpr uint64_t kNsPerElement = 50;
// A byte that is copied takes less than a byte that is looked at.
constexpr uint64_t kBytesCopiedPerNs = 4;
constexpr char kNestedTooDeep[] = "the reply is nested too deep";
// What a level of nesting keeps on Lua's stack.
constexpr int kSlotsPerLevel = 8;

// Reads a whole reply, from the front.
class ReplyReader {
 public:
  ReplyReader(lua_State* lua, std::string_view reply)
      : lua_(lua), rest_(reply) {}

  // Pushes the next value.
  void Push();

 private:
  std::string_view Line();
  int64_t Number(std::string_view text) const;
  std::string_view Bytes(int64_t size);
  void PushField(const char* name, std::string_view text);
  void PushBulk(int64_t size);
  void PushArray(int64_t count);
  void PushMap(int64_t count);
  void PushSet(int64_t count);
  void PushVerbatim(int64_t size);
  void SkipAttribute(int64_t count);

  lua_State* const lua_;
  std::string_view rest_;
};

std::string_view ReplyReader::Line() {
  const size_t end = rest_.find("\r\n");
  const std::string_view line = rest_.substr(0, end);
  rest_.remove_prefix(end == rest_.npos ? rest_.size() : end + 2);
  return line;
}

int64_t ReplyReader::Number(std::string_view text) const {
  int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

std::string_view ReplyReader::Bytes(int64_t size) {
  const std::string_view bytes = rest_.substr(0, static_cast<size_t>(size));
  rest_.remove_prefix(std::min(rest_.size(), static_cast<size_t>(size) + 2));
  return bytes;
}

void ReplyReader::PushField(const char* name, std::string_view text) {
  lua_createtable(lua_, 0, 1);
  PushText(lua_, text);
  lua_setfield(lua_, -2, name);
}

void ReplyReader::PushBulk(int64_t size) {
  if (size < 0) return lua_pushboolean(lua_, 0);
  PushText(lua_, Bytes(size));
}

void ReplyReader::PushArray(int64_t count) {
  if (count < 0) return lua_pushboolean(lua_, 0);
  lua_newtable(lua_);
  for (int64_t i = 1; i <= count; ++i) {
    Push();
    lua_rawseti(lua_, -2, static_cast<int>(i));
  }
}

void ReplyReader::PushMap(int64_t count) {
  lua_createtable(lua_, 0, 1);
  lua_newtable(lua_);
  for (int64_t i = 0; i < count; ++i) {
    Push();
    Push();
    lua_rawset(lua_, -3);
  }
  lua_setfield(lua_, -2, "map");
}

void ReplyReader::PushSet(int64_t count) {
  lua_createtable(lua_, 0, 1);
  lua_newtable(lua_);
  for (int64_t i = 0; i < count; ++i) {
    Push();
    lua_pushboolean(lua_, 1);
    lua_rawset(lua_, -3);
  }
  lua_setfield(lua_, -2, "set");
}

void ReplyReader::PushVerbatim(int64_t size) {
  constexpr size_t kFormatBytes = 3;
  const std::string_view bytes = Bytes(size);
  lua_createtable(lua_, 0, 1);
  lua_createtable(lua_, 0, 2);
  PushText(lua_, bytes.substr(0, kFormatBytes));
  lua_setfield(lua_, -2, "format");
  PushText(lua_, bytes.substr(std::min(bytes.size(), kFormatBytes + 1)));
  lua_setfield(lua_, -2, "string");
  lua_setfield(lua_, -2, "verbatim_string");
}

// Scripts do not see attributes.
void ReplyReader::SkipAttribute(int64_t count) {
  for (int64_t i = 0; i < 2 * count; ++i) {
    Push();
    lua_pop(lua_, 1);
  }
  Push();
}

void ReplyReader::Push() {
  Charge(lua_, kNsPerElement);
  if (NestsTooDeep(lua_)) luaL_error(lua_, "%s", kNestedTooDeep);
  luaL_checkstack(lua_, kSlotsPerLevel, kNestedTooDeep);
  const std::string_view line = Line();
  const char type = line.empty() ? '_' : line[0];
  const std::string_view text = line.substr(line.empty() ? 0 : 1);
  switch (type) {
    case '+':
      return PushField("ok", text);
    case '-':
      return PushErrorTable(lua_, text);
    case ':':
      return lua_pushnumber(lua_, static_cast<lua_Number>(Number(text)));
    case '$':
      return PushBulk(Number(text));
    case '*':
    case '>':
      return PushArray(Number(text));
    case '%':
      return PushMap(Number(text));
    case '~':
      return PushSet(Number(text));
    case '#':
      return lua_pushboolean(lua_, text == "t" ? 1 : 0);
    case ',': {
      double number = 0;
      std::from_chars(text.data(), text.data() + text.size(), number);
      lua_createtable(lua_, 0, 1);
      lua_pushnumber(lua_, number);
      return lua_setfield(lua_, -2, "double");
    }
    case '(':
      return PushField("big_number", text);
    case '=':
      return PushVerbatim(Number(text));
    case '|':
      return SkipAttribute(Number(text));
    default:
      return lua_pushnil(lua_);
  }
}

// Writes values to a reply, from the top of the stack.
class ValueWriter {
 public:
  ValueWriter(lua_State* lua, int protocol, ReplyWriter& reply)
      : lua_(lua), resp3_booleans_(protocol >= 3), reply_(reply) {}

  // Writes the top and pops it.
  void Write();

 private:
  void WriteBoolean();
  void WriteTable();
  bool WriteMarked();
  bool WriteVerbatimTable();
  bool WriteAggregate();
  void WriteVerbatim(std::string_view given_format, std::string_view text);
  void WriteMap();
  void WriteSet();
  void WriteArray();
  bool TakeField(const char* name, int type);
  size_t CountPairs();
  void WriteRaw(std::string_view type, std::string_view text);

  lua_State* const lua_;
  const bool resp3_booleans_;
  ReplyWriter& reply_;
};

void ValueWriter::Write() {
  Charge(lua_, kNsPerElement);
  if (lua_checkstack(lua_, kSlotsPerLevel) == 0 || NestsTooDeep(lua_)) {
    lua_pop(lua_, 1);
    return reply_.Error("ERR reached lua stack limit");
  }
  switch (lua_type(lua_, -1)) {
    case LUA_TSTRING:
      Charge(lua_, lua_objlen(lua_, -1) / kBytesCopiedPerNs);
      reply_.Bulk(TextAt(lua_, -1));
      break;
    case LUA_TBOOLEAN:
      WriteBoolean();
      break;
    case LUA_TNUMBER:
      reply_.Integer(IntegerOf(lua_tonumber(lua_, -1)));
      break;
    case LUA_TTABLE:
      WriteTable();
      break;
    default:
      reply_.Null();
  }
  lua_pop(lua_, 1);
}

void ValueWriter::WriteBoolean() {
  const bool value = lua_toboolean(lua_, -1) != 0;
  if (!resp3_booleans_) {
    return value ? reply_.Integer(1) : reply_.Null();
  }
  if (reply_.protocol() < 3) return reply_.Integer(value ? 1 : 0);
  WriteRaw("#", value ? "t" : "f");
}

// A line of a type that version 3 has.
void ValueWriter::WriteRaw(std::string_view type, std::string_view text) {
  Charge(lua_, text.size());
  if (!reply_.Claim(type.size() + text.size() + 2)) return;
  std::string& out = *reply_.out();
  out.append(type);
  for (const char c : text) out.push_back(c == '\r' || c == '\n' ? ' ' : c);
  out.append("\r\n");
}

// Pushes a field of the table on the top if it is of that type.
bool ValueWriter::TakeField(const char* name, int type) {
  lua_pushstring(lua_, name);
  lua_rawget(lua_, -2);
  if (lua_type(lua_, -1) == type) return true;
  lua_pop(lua_, 1);
  return false;
}

void ValueWriter::WriteTable() {
  if (!WriteMarked()) WriteArray();
}

// Whether the table on the top stands for something else than an array, by a
// field of its.
bool ValueWriter::WriteMarked() {
  if (TakeField("err", LUA_TSTRING)) {
    reply_.Error(TextAt(lua_, -1));
  } else if (TakeField("ok", LUA_TSTRING)) {
    reply_.SimpleString(lua_tostring(lua_, -1));
  } else if (TakeField("double", LUA_TNUMBER)) {
    reply_.Double(lua_tonumber(lua_, -1));
  } else if (TakeField("big_number", LUA_TSTRING)) {
    const std::string_view digits = TextAt(lua_, -1);
    reply_.protocol() < 3 ? reply_.Bulk(digits) : WriteRaw("(", digits);
  } else {
    return WriteVerbatimTable() || WriteAggregate();
  }
  lua_pop(lua_, 1);
  return true;
}

// Whether there is a format and a text in a field of the table on the top.
bool ValueWriter::WriteVerbatimTable() {
  if (!TakeField("verbatim_string", LUA_TTABLE)) return false;
  bool written = false;
  if (TakeField("format", LUA_TSTRING)) {
    lua_insert(lua_, -2);  // Below the table.
    if (TakeField("string", LUA_TSTRING)) {
      WriteVerbatim(TextAt(lua_, -3), TextAt(lua_, -1));
      lua_pop(lua_, 1);
      written = true;
    }
    lua_pop(lua_, 1);
  }
  lua_pop(lua_, 1);
  return written;
}

bool ValueWriter::WriteAggregate() {
  if (TakeField("map", LUA_TTABLE)) {
    WriteMap();
  } else if (TakeField("set", LUA_TTABLE)) {
    WriteSet();
  } else {
    return false;
  }
  lua_pop(lua_, 1);
  return true;
}

void ValueWriter::WriteVerbatim(std::string_view given_format,
                                std::string_view text) {
  constexpr size_t kFormatBytes = 3;
  if (reply_.protocol() < 3) return reply_.Bulk(text);
  char format[kFormatBytes + 1] = "   ";
  const std::string_view given = given_format.substr(0, kFormatBytes);
  for (size_t i = 0; i < given.size(); ++i) {
    format[i] = given[i] == '\r' || given[i] == '\n' ? ' ' : given[i];
  }
  char size[24];
  const auto end =
      std::to_chars(size, size + sizeof size, text.size() + kFormatBytes + 1)
          .ptr;
  WriteRaw("=", {size, end});
  if (!reply_.Claim(kFormatBytes + 1 + text.size() + 2)) return;
  std::string& out = *reply_.out();
  out.append(format, kFormatBytes).push_back(':');
  out.append(text).append("\r\n");
}

size_t ValueWriter::CountPairs() {
  size_t count = 0;
  Charge(lua_, ContextOf(lua_).meter.ns_per_table());
  lua_pushnil(lua_);
  while (lua_next(lua_, -2) != 0) {
    lua_pop(lua_, 1);
    ++count;
  }
  Charge(lua_, count * kNsPerElement);
  return count;
}

void ValueWriter::WriteMap() {
  reply_.MapHeader(CountPairs());
  lua_pushnil(lua_);
  while (!reply_.overflowed() && lua_next(lua_, -2) != 0) {
    lua_pushvalue(lua_, -2);
    Write();
    Write();
  }
}

void ValueWriter::WriteSet() {
  reply_.SetHeader(CountPairs());
  lua_pushnil(lua_);
  while (!reply_.overflowed() && lua_next(lua_, -2) != 0) {
    lua_pop(lua_, 1);
    lua_pushvalue(lua_, -1);
    Write();
  }
}

// Up to the first nil.
void ValueWriter::WriteArray() {
  int count = 0;
  while (true) {
    lua_rawgeti(lua_, -1, count + 1);
    const bool ends = lua_isnil(lua_, -1);
    lua_pop(lua_, 1);
    if (ends) break;
    ++count;
  }
  Charge(lua_, static_cast<uint64_t>(count) * kNsPerElement);
  reply_.ArrayHeader(static_cast<size_t>(count));
  for (int i = 1; i <= count && !reply_.overflowed(); ++i) {
    lua_rawgeti(lua_, -1, i);
    Write();
  }
}

}  // namespace

void PushReply(lua_State* lua, std::string_view reply) {
  ReplyReader(lua, reply).Push();
}

void PushErrorTable(lua_State* lua, std::string_view text) {
  lua_createtable(lua, 0, 1);
  PushText(lua, text);
  lua_setfield(lua, -2, "err");
}

void WriteValue(lua_State* lua, int protocol, ReplyWriter& reply) {
  ValueWriter(lua, protocol, reply).Write();
}

int64_t IntegerOf(lua_Number number) {
  constexpr lua_Number kRange = 9223372036854775808.0;
  // What has no integer becomes what it becomes on x86.
  if (!(number >= -kRange && number < kRange)) return INT64_MIN;
  return static_cast<int64_t>(number);
}

}  // namespace kvd
