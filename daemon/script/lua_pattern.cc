// SPDX-License-Identifier: MIT
#include "daemon/script/lua_pattern.h"

#include <cctype>
#include <cstring>

namespace kvd {
namespace {

constexpr char kEscape = '%';

unsigned char Byte(const char* at) { return static_cast<unsigned char>(*at); }

// Whether `c` is of the class that a letter behind a % names; an upper-case
// letter is the class's complement, and anything else is itself.
bool InClass(unsigned char c, unsigned char letter) {
  bool in = false;
  switch (std::tolower(letter)) {
    case 'a':
      in = std::isalpha(c) != 0;
      break;
    case 'c':
      in = std::iscntrl(c) != 0;
      break;
    case 'd':
      in = std::isdigit(c) != 0;
      break;
    case 'l':
      in = std::islower(c) != 0;
      break;
    case 'p':
      in = std::ispunct(c) != 0;
      break;
    case 's':
      in = std::isspace(c) != 0;
      break;
    case 'u':
      in = std::isupper(c) != 0;
      break;
    case 'w':
      in = std::isalnum(c) != 0;
      break;
    case 'x':
      in = std::isxdigit(c) != 0;
      break;
    case 'z':
      in = c == 0;
      break;
    default:
      return letter == c;
  }
  return std::isupper(letter) != 0 ? !in : in;
}

}  // namespace

const char* LuaPattern::ClassEnd(const char* p) {
  if (*p == kEscape) {
    if (p + 1 == pattern_end_) {
      return Fail("malformed pattern (ends with '%')");
    }
    return p + 2;
  }
  if (*p != '[') return p + 1;
  const char* at = p + 1;
  if (at < pattern_end_ && *at == '^') ++at;
  // A ] that comes first is a member.
  bool first = true;
  while (at < pattern_end_ && (first || *at != ']')) {
    if (!meter_.Charge(1)) return nullptr;
    first = false;
    at += *at == kEscape ? 2 : 1;
  }
  if (at >= pattern_end_) return Fail("malformed pattern (missing ']')");
  return at + 1;
}

// `p` is at the [ and `last` at the ].
bool LuaPattern::InSet(unsigned char c, const char* p, const char* last) {
  bool in = true;
  const char* at = p + 1;
  if (*at == '^') {
    in = false;
    ++at;
  }
  while (at < last) {
    if (*at == kEscape) {
      if (InClass(c, Byte(at + 1))) return in;
      at += 2;
    } else if (at + 2 < last && at[1] == '-') {
      if (Byte(at) <= c && c <= Byte(at + 2)) return in;
      at += 3;
    } else {
      if (Byte(at) == c) return in;
      ++at;
    }
  }
  return !in;
}

bool LuaPattern::IsOneOf(const char* at, const char* p, const char* end) const {
  if (at >= text_end_) return false;
  switch (*p) {
    case '.':
      return true;
    case kEscape:
      return InClass(Byte(at), Byte(p + 1));
    case '[':
      meter_.Charge(static_cast<uint64_t>(end - p));
      return InSet(Byte(at), p, end - 1);
    default:
      return *p == *at;
  }
}

const char* LuaPattern::Match(const char* at, const char* p) {
  if (++depth_ > kDepthMax) return Fail("pattern too complex");
  const char* const end = MatchItem(at, p);
  --depth_;
  return end;
}

// Follows single characters in a loop, so that only choices nest.
const char* LuaPattern::MatchItem(const char* at, const char* p) {
  while (p < pattern_end_) {
    if (GivesUp()) return nullptr;
    bool special = false;
    const char* const found = MatchSpecial(at, p, &special);
    if (special) return found;

    const char* const end = ClassEnd(p);
    if (end == nullptr) return nullptr;
    const char repeat = end < pattern_end_ ? *end : '\0';
    if (end < pattern_end_ && std::strchr("?*+-", repeat) != nullptr &&
        repeat != '\0') {
      if (repeat == '?') return MatchOne(at, p, end);
      if (repeat == '-') return MatchFewest(at, p, end);
      if (repeat == '*') return MatchMost(at, p, end);
      return IsOneOf(at, p, end) ? MatchMost(at + 1, p, end) : nullptr;
    }
    if (!IsOneOf(at, p, end)) return nullptr;
    ++at;
    p = end;
  }
  return at;
}

// What is no character class: captures, the anchor at the end, %b, %f and back
// references.
const char* LuaPattern::MatchSpecial(const char* at, const char* p,
                                     bool* special) {
  *special = true;
  switch (*p) {
    case '(':
      if (p + 1 < pattern_end_ && p[1] == ')') {
        return OpenCapture(at, p + 2, Capture::kPosition);
      }
      return OpenCapture(at, p + 1, Capture::kOpen);
    case ')':
      return CloseCapture(at, p + 1);
    case '$':
      if (p + 1 == pattern_end_) return at == text_end_ ? at : nullptr;
      break;
    case kEscape:
      if (p + 1 == pattern_end_) break;
      if (p[1] == 'b') return MatchBalanced(at, p + 2);
      if (p[1] == 'f') return MatchFrontier(at, p + 2);
      if (std::isdigit(Byte(p + 1)) != 0) return MatchBackReference(at, p + 1);
      break;
    default:
      break;
  }
  *special = false;
  return nullptr;
}

const char* LuaPattern::MatchOne(const char* at, const char* p,
                                 const char* rest) {
  if (IsOneOf(at, p, rest)) {
    const char* const end = Match(at + 1, rest + 1);
    if (end != nullptr || error_ != nullptr) return end;
  }
  return Match(at, rest + 1);
}

const char* LuaPattern::MatchMost(const char* at, const char* p,
                                  const char* rest) {
  const char* last = at;
  while (IsOneOf(last, p, rest)) {
    if (GivesUp()) return nullptr;
    ++last;
  }
  for (; last >= at; --last) {
    const char* const end = Match(last, rest + 1);
    if (end != nullptr) return end;
    if (GivesUp()) return nullptr;
  }
  return nullptr;
}

const char* LuaPattern::MatchFewest(const char* at, const char* p,
                                    const char* rest) {
  while (true) {
    const char* const end = Match(at, rest + 1);
    if (end != nullptr) return end;
    if (GivesUp() || !IsOneOf(at, p, rest)) return nullptr;
    ++at;
  }
}

const char* LuaPattern::MatchBalanced(const char* at, const char* p) {
  if (pattern_end_ - p < 2) return Fail("unbalanced pattern");
  if (at == text_end_ || *at != p[0]) return nullptr;
  const char open = p[0];
  const char close = p[1];
  int64_t depth = 1;
  for (const char* last = at + 1; last < text_end_; ++last) {
    if (GivesUp()) return nullptr;
    if (*last == close) {
      if (--depth == 0) return Match(last + 1, p + 2);
    } else if (*last == open) {
      ++depth;
    }
  }
  return nullptr;
}

const char* LuaPattern::MatchFrontier(const char* at, const char* p) {
  if (p == pattern_end_ || *p != '[') {
    return Fail("missing '[' after '%f' in pattern");
  }
  const char* const end = ClassEnd(p);
  if (end == nullptr) return nullptr;
  const unsigned char before = at == text_ ? 0 : Byte(at - 1);
  const unsigned char here = at == text_end_ ? 0 : Byte(at);
  if (InSet(before, p, end - 1) || !InSet(here, p, end - 1)) return nullptr;
  return Match(at, end);
}

const char* LuaPattern::OpenCapture(const char* at, const char* p,
                                    ptrdiff_t size) {
  if (captures_ == kCapturesMax) return Fail("too many captures");
  capture_[captures_] = {at, size};
  ++captures_;
  const char* const end = Match(at, p);
  if (end == nullptr) --captures_;
  return end;
}

const char* LuaPattern::CloseCapture(const char* at, const char* p) {
  int index = captures_ - 1;
  while (index >= 0 && capture_[index].size != Capture::kOpen) --index;
  if (index < 0) return Fail("invalid pattern capture");
  capture_[index].size = at - capture_[index].start;
  const char* const end = Match(at, p);
  if (end == nullptr) capture_[index].size = Capture::kOpen;
  return end;
}

const char* LuaPattern::MatchBackReference(const char* at, const char* p) {
  const int index = *p - '1';
  if (index < 0 || index >= captures_ ||
      capture_[index].size == Capture::kOpen) {
    return Fail("invalid capture index");
  }
  // A position's text is empty.
  const Capture& capture = capture_[index];
  const ptrdiff_t size = capture.size < 0 ? 0 : capture.size;
  if (!meter_.Charge(static_cast<uint64_t>(size))) return nullptr;
  if (text_end_ - at < size ||
      std::memcmp(at, capture.start, static_cast<size_t>(size)) != 0) {
    return nullptr;
  }
  return Match(at + size, p + 1);
}

}  // namespace kvd
