// SPDX-License-Identifier: MIT
//
// "cjson": JSON from Lua's values and back. What it takes and makes is that of
// the library of this name (its manual), with bounds: depth, and each byte
// counts as work.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "daemon/script/context.h"
#include "daemon/script/libraries.h"

namespace kvd {
namespace {

constexpr uint64_t kNsPerByte = 5;
constexpr uint64_t kNsPerElement = 50;
// Texts are looked at in pieces, so that a long one does not take long unseen.
constexpr size_t kPieceBytes = 4096;
// The longest number: its digits are read unseen.
constexpr size_t kNumberBytesMax = 64 << 10;
// What cjson.encode_max_depth() and its like may set: Lua's stack has room for
// 8000 values, and each level takes some on the thread's own stack.
constexpr int kDepthLimit = 1000;
constexpr int kSlotsPerLevel = 8;

class JsonEncoder {
 public:
  explicit JsonEncoder(lua_State* lua)
      : lua_(lua),
        settings_(ContextOf(lua).json),
        meter_(ContextOf(lua).meter),
        out_(ContextOf(lua).text) {}

  // Appends the value on the top of the stack.
  void Append(int depth);

 private:
  void Add(std::string_view text);
  void AppendText(std::string_view text);
  void AppendPiece(std::string_view text);
  void AppendNumber();
  void AppendTable(int depth);
  void AppendArray(int depth, int count);
  void AppendObject(int depth);
  void AppendKey();
  int ArraySize();
  void Refuse(const char* why) {
    luaL_error(lua_, "Cannot serialise %s: %s", luaL_typename(lua_, -1), why);
  }

  lua_State* const lua_;
  const JsonSettings& settings_;
  Meter& meter_;
  std::string& out_;
};

void JsonEncoder::Add(std::string_view text) {
  Charge(lua_, text.size() * kNsPerByte);
  if (text.size() > meter_.free_bytes() ||
      out_.size() > meter_.free_bytes() - text.size()) {
    StopScript(lua_, ScriptStop::kMemory);
  }
  out_.append(text);
}

void JsonEncoder::Append(int depth) {
  Charge(lua_, kNsPerElement);
  switch (lua_type(lua_, -1)) {
    case LUA_TSTRING:
      return AppendText(TextAt(lua_, -1));
    case LUA_TNUMBER:
      return AppendNumber();
    case LUA_TBOOLEAN:
      return Add(lua_toboolean(lua_, -1) != 0 ? "true" : "false");
    case LUA_TTABLE:
      return AppendTable(depth + 1);
    case LUA_TNIL:
      return Add("null");
    case LUA_TLIGHTUSERDATA:
      if (lua_touserdata(lua_, -1) == nullptr) return Add("null");
      break;
    default:
      break;
  }
  Refuse("type not supported");
}

// The escape of a byte; empty if it stands for itself.
std::string_view EscapeOf(char c, char (&buffer)[8]) {
  switch (c) {
    case '"':
      return "\\\"";
    case '\\':
      return "\\\\";
    case '/':
      return "\\/";
    case '\b':
      return "\\b";
    case '\f':
      return "\\f";
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    default:
      break;
  }
  const auto byte = static_cast<unsigned char>(c);
  if (byte >= 0x20 && byte != 0x7f) return {};
  constexpr char kDigits[] = "0123456789abcdef";
  std::memcpy(buffer, "\\u00", 4);
  buffer[4] = kDigits[byte >> 4];
  buffer[5] = kDigits[byte & 15];
  return {buffer, 6};
}

void JsonEncoder::AppendText(std::string_view text) {
  Add("\"");
  while (!text.empty()) {
    const std::string_view piece = text.substr(0, kPieceBytes);
    AppendPiece(piece);
    text.remove_prefix(piece.size());
  }
  Add("\"");
}

void JsonEncoder::AppendPiece(std::string_view text) {
  size_t start = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    char buffer[8];
    const std::string_view escape = EscapeOf(text[i], buffer);
    if (escape.empty()) continue;
    Add(text.substr(start, i - start));
    Add(escape);
    start = i + 1;
  }
  Add(text.substr(start));
}

void JsonEncoder::AppendNumber() {
  const lua_Number number = lua_tonumber(lua_, -1);
  if (!std::isfinite(number) && !settings_.encode_invalid_numbers) {
    if (settings_.encode_null_for_invalid) return Add("null");
    Refuse("must not be NaN or Inf");
  }
  if (std::isnan(number)) return Add("nan");
  if (std::isinf(number)) return Add(number > 0 ? "inf" : "-inf");
  char text[64];
  const auto end =
      std::to_chars(text, text + sizeof text, number,
                    std::chars_format::general, settings_.precision)
          .ptr;
  Add({text, end});
}

// How many elements the table on the top has as an array, or -1 if it is an
// object.
int JsonEncoder::ArraySize() {
  lua_Number max = 0;
  int items = 0;
  bool array = true;
  Charge(lua_, meter_.ns_per_table());
  lua_pushnil(lua_);
  while (lua_next(lua_, -2) != 0) {
    lua_pop(lua_, 1);
    Charge(lua_, kNsPerElement);
    const lua_Number key =
        lua_type(lua_, -1) == LUA_TNUMBER ? lua_tonumber(lua_, -1) : 0;
    if (!(key >= 1) || std::floor(key) != key) {
      lua_pop(lua_, 1);
      array = false;
      break;
    }
    if (key > max) max = key;
    ++items;
  }
  if (!array || items == 0) return -1;
  if (settings_.sparse_ratio > 0 && max > settings_.sparse_safe &&
      max > static_cast<lua_Number>(items) * settings_.sparse_ratio) {
    if (!settings_.sparse_convert) Refuse("excessively sparse array");
    return -1;
  }
  // An array that is not sparse has few more places than items.
  if (max > INT32_MAX) Refuse("excessively sparse array");
  return static_cast<int>(max);
}

void JsonEncoder::AppendTable(int depth) {
  if (depth > settings_.encode_depth_max ||
      lua_checkstack(lua_, kSlotsPerLevel) == 0) {
    luaL_error(lua_, "Cannot serialise, excessive depth (%d)", depth);
  }
  CheckNesting(lua_);
  const int count = ArraySize();
  if (count >= 0) {
    AppendArray(depth, count);
  } else {
    AppendObject(depth);
  }
}

void JsonEncoder::AppendArray(int depth, int count) {
  Add("[");
  for (int i = 1; i <= count; ++i) {
    if (i > 1) Add(",");
    lua_rawgeti(lua_, -1, i);
    Append(depth);
    lua_pop(lua_, 1);
  }
  Add("]");
}

// The key is below the value, on the top.
void JsonEncoder::AppendKey() {
  lua_pushvalue(lua_, -2);
  if (lua_type(lua_, -1) == LUA_TNUMBER) {
    Add("\"");
    AppendNumber();
    Add("\"");
  } else if (lua_type(lua_, -1) == LUA_TSTRING) {
    AppendText(TextAt(lua_, -1));
  } else {
    Refuse("table key must be a number or string");
  }
  lua_pop(lua_, 1);
}

void JsonEncoder::AppendObject(int depth) {
  Add("{");
  bool first = true;
  lua_pushnil(lua_);
  while (lua_next(lua_, -2) != 0) {
    if (!first) Add(",");
    first = false;
    AppendKey();
    Add(":");
    Append(depth);
    lua_pop(lua_, 1);
  }
  Add("}");
}

int Encode(lua_State* lua) {
  luaL_argcheck(lua, lua_gettop(lua) == 1, 1, "expected 1 argument");
  std::string& text = ContextOf(lua).text;
  text.clear();
  JsonEncoder(lua).Append(0);
  PushText(lua, text);
  ScriptContext::Empty(&text);
  return 1;
}

class JsonDecoder {
 public:
  JsonDecoder(lua_State* lua, std::string_view text)
      : lua_(lua),
        settings_(ContextOf(lua).json),
        out_(ContextOf(lua).text),
        text_(text) {}

  // Pushes the value that is all of the text.
  void PushAll();

 private:
  void PushValue(int depth);
  void PushArray(int depth);
  void PushObject(int depth);
  void PushString();
  void PushNumber();
  void SkipSpaces();
  size_t EndOfPlainText(size_t start);
  bool Take(std::string_view word);
  bool TakeInAnyCase(std::string_view word);
  void TakeEscape();
  unsigned TakeHex();
  void AppendUtf8(unsigned code);
  void Enter(int depth);
  char Peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  const char* NumberLimit() const {
    return text_.data() + std::min(text_.size(), at_ + kNumberBytesMax);
  }
  // Raises what was expected, and what is there instead.
  void Expected(const char* what);
  const char* Found() const;

  lua_State* const lua_;
  const JsonSettings& settings_;
  std::string& out_;
  const std::string_view text_;
  size_t at_ = 0;
};

// What is there, in the words of cjson.
const char* JsonDecoder::Found() const {
  if (at_ >= text_.size()) return "T_END";
  switch (text_[at_]) {
    case '{':
      return "T_OBJ_BEGIN";
    case '}':
      return "T_OBJ_END";
    case '[':
      return "T_ARR_BEGIN";
    case ']':
      return "T_ARR_END";
    case '"':
      return "T_STRING";
    case ':':
      return "T_COLON";
    case ',':
      return "T_COMMA";
    default:
      break;
  }
  const std::string_view rest = text_.substr(at_);
  if (rest[0] >= '0' && rest[0] <= '9') return "T_NUMBER";
  if (rest.starts_with("true") || rest.starts_with("false")) return "T_BOOLEAN";
  return rest.starts_with("null") ? "T_NULL" : "invalid token";
}

void JsonDecoder::Expected(const char* what) {
  luaL_error(lua_, "Expected %s but found %s at character %d", what, Found(),
             static_cast<int>(at_ + 1));
}

void JsonDecoder::SkipSpaces() {
  std::string_view piece;
  size_t spaces = 0;
  do {
    piece = text_.substr(at_, kPieceBytes);
    spaces = std::min(piece.find_first_not_of(" \t\r\n"), piece.size());
    Charge(lua_, spaces * kNsPerByte);
    at_ += spaces;
  } while (spaces == kPieceBytes);
}

// Where the next quote or backslash is, or the end.
size_t JsonDecoder::EndOfPlainText(size_t start) {
  for (size_t at = start; at < text_.size(); at += kPieceBytes) {
    const std::string_view piece = text_.substr(at, kPieceBytes);
    const size_t plain = std::min(piece.find_first_of("\"\\"), piece.size());
    Charge(lua_, (plain + 1) * kNsPerByte);
    if (plain < piece.size()) return at + plain;
  }
  return text_.size();
}

bool JsonDecoder::Take(std::string_view word) {
  if (!text_.substr(at_).starts_with(word)) return false;
  at_ += word.size();
  return true;
}

bool JsonDecoder::TakeInAnyCase(std::string_view word) {
  const std::string_view rest = text_.substr(at_, word.size());
  if (rest.size() < word.size()) return false;
  for (size_t i = 0; i < word.size(); ++i) {
    if ((rest[i] | 0x20) != word[i]) return false;
  }
  at_ += word.size();
  return true;
}

void JsonDecoder::PushAll() {
  SkipSpaces();
  PushValue(0);
  SkipSpaces();
  if (at_ < text_.size()) Expected("the end");
}

void JsonDecoder::PushValue(int depth) {
  Charge(lua_, kNsPerElement);
  switch (Peek()) {
    case '{':
      return PushObject(depth + 1);
    case '[':
      return PushArray(depth + 1);
    case '"':
      return PushString();
    default:
      break;
  }
  if (Take("true")) return lua_pushboolean(lua_, 1);
  if (Take("false")) return lua_pushboolean(lua_, 0);
  if (Take("null")) return PushJsonNull(lua_);
  PushNumber();
}

void JsonDecoder::Enter(int depth) {
  if (depth > settings_.decode_depth_max ||
      lua_checkstack(lua_, kSlotsPerLevel) == 0) {
    luaL_error(lua_, "Found too many nested data structures (%d)", depth);
  }
  CheckNesting(lua_);
}

void JsonDecoder::PushArray(int depth) {
  Enter(depth);
  ++at_;
  lua_newtable(lua_);
  SkipSpaces();
  if (Take("]")) return;
  for (int i = 1;; ++i) {
    SkipSpaces();
    PushValue(depth);
    lua_rawseti(lua_, -2, i);
    SkipSpaces();
    if (Take("]")) return;
    if (!Take(",")) Expected("comma or array end");
  }
}

void JsonDecoder::PushObject(int depth) {
  Enter(depth);
  ++at_;
  lua_newtable(lua_);
  SkipSpaces();
  if (Take("}")) return;
  while (true) {
    SkipSpaces();
    if (Peek() != '"') Expected("object key string");
    PushString();
    SkipSpaces();
    if (!Take(":")) Expected("colon");
    SkipSpaces();
    PushValue(depth);
    lua_rawset(lua_, -3);
    SkipSpaces();
    if (Take("}")) return;
    if (!Take(",")) Expected("comma or object end");
  }
}

// Most strings have no escapes and need no copy.
void JsonDecoder::PushString() {
  const size_t start = ++at_;
  const size_t end = EndOfPlainText(start);
  if (end < text_.size() && text_[end] == '"') {
    at_ = end + 1;
    return PushText(lua_, text_.substr(start, end - start));
  }
  out_.clear();
  while (Peek() != '"') {
    if (at_ >= text_.size()) Expected("string end");
    const size_t next = EndOfPlainText(at_);
    out_.append(text_, at_, next - at_);
    at_ = next;
    if (Peek() == '\\') TakeEscape();
  }
  ++at_;
  PushText(lua_, out_);
}

void JsonDecoder::TakeEscape() {
  ++at_;
  constexpr std::string_view kLetters = "\"\\/bfnrt";
  constexpr std::string_view kBytes = "\"\\/\b\f\n\r\t";
  const char letter = Peek();
  if (letter == 'u') {
    ++at_;
    unsigned code = TakeHex();
    // Two halves of a pair make one character.
    if (code >= 0xd800 && code < 0xdc00) {
      if (!Take("\\u")) Expected("the second half of a unicode pair");
      const unsigned low = TakeHex();
      if (low < 0xdc00 || low > 0xdfff) {
        Expected("the second half of a unicode pair");
      }
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if (code >= 0xdc00 && code <= 0xdfff) {
      Expected("the first half of a unicode pair");
    }
    return AppendUtf8(code);
  }
  const size_t which = kLetters.find(letter);
  if (letter == '\0' || which == kLetters.npos) Expected("escape code");
  out_.push_back(kBytes[which]);
  ++at_;
}

unsigned JsonDecoder::TakeHex() {
  constexpr size_t kDigits = 4;
  unsigned code = 0;
  const std::string_view digits = text_.substr(at_, kDigits);
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
  if (error != std::errc() || end != digits.data() + kDigits) {
    Expected("four hexadecimal digits");
  }
  at_ += kDigits;
  return code;
}

void JsonDecoder::AppendUtf8(unsigned code) {
  const auto more = [&](int shift) {
    out_.push_back(static_cast<char>(0x80 | (code >> shift & 0x3f)));
  };
  if (code < 0x80) {
    out_.push_back(static_cast<char>(code));
  } else if (code < 0x800) {
    out_.push_back(static_cast<char>(0xc0 | code >> 6));
    more(0);
  } else if (code < 0x10000) {
    out_.push_back(static_cast<char>(0xe0 | code >> 12));
    more(6);
    more(0);
  } else {
    out_.push_back(static_cast<char>(0xf0 | code >> 18));
    more(12);
    more(6);
    more(0);
  }
}

// Beside JSON's numbers those that cjson takes: inf, nan, hexadecimal ones.
void JsonDecoder::PushNumber() {
  const size_t start = at_;
  const bool negative = Take("-");
  double number = 0;
  if (TakeInAnyCase("infinity") || TakeInAnyCase("inf")) {
    number = HUGE_VAL;
  } else if (TakeInAnyCase("nan")) {
    number = NAN;
  } else if (TakeInAnyCase("0x")) {
    uint64_t bits = 0;
    const auto result =
        std::from_chars(text_.data() + at_, NumberLimit(), bits, 16);
    if (result.ec != std::errc()) Expected("value");
    at_ = static_cast<size_t>(result.ptr - text_.data());
    number = static_cast<double>(bits);
  } else {
    const bool digit = Peek() >= '0' && Peek() <= '9';
    const auto result =
        std::from_chars(text_.data() + at_, NumberLimit(), number);
    if (!digit || result.ptr == text_.data() + at_ ||
        result.ptr == text_.data() + at_ + kNumberBytesMax) {
      at_ = start;
      Expected("value");
    }
    // Infinite, or zero: a Lua string has a zero behind its end.
    if (result.ec == std::errc::result_out_of_range) {
      number = std::strtod(text_.data() + at_, nullptr);
    }
    const size_t end = static_cast<size_t>(result.ptr - text_.data());
    Charge(lua_, (end - at_) * kNsPerByte);
    const bool leading_zero = text_[at_] == '0' && end > at_ + 1 &&
                              text_[at_ + 1] >= '0' && text_[at_ + 1] <= '9';
    if (leading_zero && !settings_.decode_invalid_numbers) {
      at_ = start;
      Expected("value");
    }
    at_ = end;
    return lua_pushnumber(lua_, negative ? -number : number);
  }
  if (!settings_.decode_invalid_numbers) {
    at_ = start;
    Expected("value");
  }
  lua_pushnumber(lua_, negative ? -number : number);
}

int Decode(lua_State* lua) {
  luaL_argcheck(lua, lua_gettop(lua) == 1, 1, "expected 1 argument");
  size_t size = 0;
  const char* const text = luaL_checklstring(lua, 1, &size);
  // In wide encodings a zero is among the first bytes.
  if (size >= 2 && (text[0] == '\0' || text[1] == '\0')) {
    luaL_error(lua, "JSON parser does not support UTF-16 or UTF-32");
  }
  JsonDecoder(lua, {text, size}).PushAll();
  return 1;
}

// Sets `*setting` to the argument, if there is one, and pushes it.
int SetInteger(lua_State* lua, int index, int* setting, int min, int max) {
  if (!lua_isnoneornil(lua, index)) {
    const int value = luaL_checkint(lua, index);
    if (value < min || value > max) {
      luaL_argerror(
          lua, index,
          lua_pushfstring(lua, "expected integer between %d and %d", min, max));
    }
    *setting = value;
  }
  lua_pushinteger(lua, *setting);
  return 1;
}

int SetBoolean(lua_State* lua, int index, bool* setting) {
  if (!lua_isnoneornil(lua, index)) {
    const bool is_word = lua_type(lua, index) == LUA_TSTRING;
    *setting =
        is_word ? TextAt(lua, index) == "on" : lua_toboolean(lua, index) != 0;
  }
  lua_pushboolean(lua, *setting ? 1 : 0);
  return 1;
}

int SetSparse(lua_State* lua) {
  JsonSettings& json = ContextOf(lua).json;
  lua_settop(lua, 3);
  SetBoolean(lua, 1, &json.sparse_convert);
  SetInteger(lua, 2, &json.sparse_ratio, 0, INT32_MAX);
  SetInteger(lua, 3, &json.sparse_safe, 0, INT32_MAX);
  return 3;
}
int SetEncodeDepth(lua_State* lua) {
  return SetInteger(lua, 1, &ContextOf(lua).json.encode_depth_max, 1,
                    kDepthLimit);
}
int SetDecodeDepth(lua_State* lua) {
  return SetInteger(lua, 1, &ContextOf(lua).json.decode_depth_max, 1,
                    kDepthLimit);
}
int SetPrecision(lua_State* lua) {
  constexpr int kPrecisionMax = 17;
  return SetInteger(lua, 1, &ContextOf(lua).json.precision, 1, kPrecisionMax);
}
// There is one buffer for all, whatever they say.
int SetKeepBuffer(lua_State* lua) {
  bool keep = true;
  return SetBoolean(lua, 1, &keep);
}
int SetEncodeInvalid(lua_State* lua) {
  JsonSettings& json = ContextOf(lua).json;
  if (lua_type(lua, 1) == LUA_TSTRING && TextAt(lua, 1) == "null") {
    json.encode_null_for_invalid = true;
    json.encode_invalid_numbers = false;
    lua_pushliteral(lua, "null");
    return 1;
  }
  if (!lua_isnoneornil(lua, 1)) json.encode_null_for_invalid = false;
  return SetBoolean(lua, 1, &json.encode_invalid_numbers);
}
int SetDecodeInvalid(lua_State* lua) {
  return SetBoolean(lua, 1, &ContextOf(lua).json.decode_invalid_numbers);
}

constexpr luaL_Reg kJsonFunctions[] = {
    {"encode", Encode},
    {"decode", Decode},
    {"encode_sparse_array", SetSparse},
    {"encode_max_depth", SetEncodeDepth},
    {"decode_max_depth", SetDecodeDepth},
    {"encode_number_precision", SetPrecision},
    {"encode_keep_buffer", SetKeepBuffer},
    {"encode_invalid_numbers", SetEncodeInvalid},
    {"decode_invalid_numbers", SetDecodeInvalid}};

}  // namespace

void AddJson(lua_State* lua) {
  lua_newtable(lua);
  SetFunctions(lua, kJsonFunctions);
  PushJsonNull(lua);
  lua_setfield(lua, -2, "null");
  lua_setfield(lua, -2, "cjson");
}

}  // namespace kvd
