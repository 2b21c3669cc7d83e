// SPDX-License-Identifier: MIT
//
// Lua's patterns, matched in bounded steps and bounded depth: a short pattern
// can need more steps than anybody has time for, and a long one more stack.
// Source: the reference manual of Lua 5.1, 5.4.1; error texts are its own.
#pragma once

#include <cstddef>
#include <string_view>

#include "daemon/script/meter.h"

namespace kvd {

// Matches one pattern at places of one text. It owns nothing, so that it may
// stand on the stack when Lua raises an error.
class LuaPattern {
 public:
  static constexpr int kCapturesMax = 32;

  struct Capture {
    const char* start = nullptr;
    // Of its text; or one of these.
    ptrdiff_t size = 0;
    static constexpr ptrdiff_t kOpen = -1;      // Its end has not come yet.
    static constexpr ptrdiff_t kPosition = -2;  // "()"
  };

  // `pattern` is without the anchor.
  LuaPattern(Meter& meter, std::string_view text, std::string_view pattern)
      : meter_(meter),
        text_(text.data()),
        text_end_(text.data() + text.size()),
        pattern_end_(pattern.data() + pattern.size()),
        pattern_(pattern.data()) {}

  // The end of the match that starts at `start`, or null: there is none,
  // error() says what is wrong with the pattern, or the meter has stopped.
  const char* MatchAt(const char* start) {
    captures_ = 0;
    depth_ = 0;
    return Match(start, pattern_);
  }

  // What is wrong with the pattern; null if nothing is.
  const char* error() const { return error_; }
  int captures() const { return captures_; }
  const Capture& capture(int index) const { return capture_[index]; }
  const char* text() const { return text_; }
  const char* text_end() const { return text_end_; }

 private:
  const char* Match(const char* at, const char* p);
  const char* MatchItem(const char* at, const char* p);
  const char* MatchSpecial(const char* at, const char* p, bool* special);
  const char* MatchOne(const char* at, const char* p, const char* rest);
  const char* MatchMost(const char* at, const char* p, const char* rest);
  const char* MatchFewest(const char* at, const char* p, const char* rest);
  const char* MatchBalanced(const char* at, const char* p);
  const char* MatchFrontier(const char* at, const char* p);
  const char* OpenCapture(const char* at, const char* p, ptrdiff_t size);
  const char* CloseCapture(const char* at, const char* p);
  const char* MatchBackReference(const char* at, const char* p);

  // The end of the single-character class at `p`; null after an error, or when
  // the meter has stopped.
  const char* ClassEnd(const char* p);
  bool IsOneOf(const char* at, const char* p, const char* end) const;
  static bool InSet(unsigned char c, const char* p, const char* last);
  const char* Fail(const char* error) {
    if (error_ == nullptr) error_ = error;
    return nullptr;
  }
  bool GivesUp() { return error_ != nullptr || !meter_.Charge(kNsPerStep); }

  static constexpr uint64_t kNsPerStep = 5;
  // Nested calls that a pattern may need. Source: Lua 5.2's MAXCCALLS.
  static constexpr int kDepthMax = 200;

  Meter& meter_;
  const char* const text_;
  const char* const text_end_;
  const char* const pattern_end_;
  const char* const pattern_;
  const char* error_ = nullptr;
  int captures_ = 0;
  int depth_ = 0;
  Capture capture_[kCapturesMax];
};

}  // namespace kvd
