// SPDX-License-Identifier: MIT
#include "base/strings/glob.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace kvd {
namespace {

constexpr size_t kNowhere = std::string_view::npos;
constexpr size_t kWordBits = 64;
constexpr size_t kBlockWords = 8;
// Up to so many elements trying each place costs no more than tables would.
constexpr size_t kShortElements = 8;
static_assert(kShortElements <= Glob::kStepsPerByteMax &&
              Glob::kStepsPerByteMax % kBlockWords == 0);

unsigned char Fold(char c, bool ignore_case) {
  const auto byte = static_cast<unsigned char>(c);
  return ignore_case && byte >= 'A' && byte <= 'Z'
             ? static_cast<unsigned char>(byte - 'A' + 'a')
             : byte;
}

// One, or a multiple of kBlockWords.
size_t WordsFor(size_t elements) {
  if (elements <= kWordBits) return 1;
  constexpr size_t kBlockBits = kBlockWords * kWordBits;
  return (elements + kBlockBits - 1) / kBlockBits * kBlockWords;
}

uint64_t Shifted(const uint64_t* state, uint64_t takers) {
  return (state[1] << 1 | state[0] >> (kWordBits - 1)) & takers;
}

// Moves `state` on by a byte that `takers` take; both states begin with the
// word before the first. Not inline: the compiler makes vectors of it as long
// as it knows that nothing overlaps.
[[gnu::noinline]] void ShiftBlocks(const uint64_t* __restrict state,
                                   const uint64_t* __restrict takers,
                                   size_t words, uint64_t* __restrict next) {
  for (size_t left = words; left > 0; left -= kBlockWords) {
    for (size_t i = 0; i < kBlockWords; ++i) {
      next[i + 1] = Shifted(state + i, takers[i]);
    }
    state += kBlockWords;
    takers += kBlockWords;
    next += kBlockWords;
  }
}

}  // namespace

std::optional<Glob> Glob::Compile(std::string_view pattern, bool ignore_case) {
  if (pattern.size() > kPatternBytesMax) return std::nullopt;
  Glob glob(ignore_case);
  glob.Parse(pattern);
  return glob;
}

void Glob::Parse(std::string_view pattern) {
  Part part;
  for (size_t at = 0; at < pattern.size();) {
    const char c = pattern[at++];
    if (c == '*') {
      if (!has_star_) {
        head_ = std::exchange(part, {});
      } else if (!part.elements.empty()) {
        middle_.push_back(std::exchange(part, {}));
      }
      has_star_ = true;
      continue;
    }
    ++elements_;
    if (c == '?') {
      part.elements.push_back({Element::Kind::kAny});
    } else if (c == '[') {
      const auto index = static_cast<uint16_t>(classes_.size());
      part.elements.push_back({Element::Kind::kClass, 0, index});
      classes_.push_back(ParseClass(pattern, &at));
    } else {
      // A backslash at the end stands for itself.
      const bool escapes = c == '\\' && at < pattern.size();
      const unsigned char byte =
          Fold(escapes ? pattern[at++] : c, ignore_case_);
      part.elements.push_back({Element::Kind::kByte, byte});
      part.bytes.push_back(static_cast<char>(byte));
    }
  }
  (has_star_ ? tail_ : head_) = std::move(part);
  for (Part& searched : middle_) AddTakers(&searched);
}

// The class that begins behind `[` at pattern[*at]; moves *at behind it. A
// class without an end ends with the pattern.
Glob::Class Glob::ParseClass(std::string_view pattern, size_t* at) const {
  size_t i = *at;
  const bool negated = i < pattern.size() && pattern[i] == '^';
  if (negated) ++i;
  Class taken;
  for (; i < pattern.size() && pattern[i] != ']'; ++i) {
    if (pattern[i] == '\\' && i + 1 < pattern.size()) {
      taken.set(Fold(pattern[++i], ignore_case_));
    } else if (i + 2 < pattern.size() && pattern[i + 1] == '-') {
      unsigned low = Fold(pattern[i], ignore_case_);
      unsigned high = Fold(pattern[i + 2], ignore_case_);
      if (low > high) std::swap(low, high);
      for (unsigned byte = low; byte <= high; ++byte) taken.set(byte);
      i += 2;
    } else {
      taken.set(Fold(pattern[i], ignore_case_));
    }
  }
  *at = i < pattern.size() ? i + 1 : i;
  return negated ? ~taken : taken;
}

void Glob::AddTakers(Part* part) const {
  const size_t count = part->elements.size();
  if (part->is_plain() || count <= kShortElements) return;
  const size_t words = WordsFor(count);
  std::vector<uint64_t> any(words);
  for (size_t i = 0; i < count; ++i) {
    if (part->elements[i].kind != Element::Kind::kAny) continue;
    any[i / kWordBits] |= uint64_t{1} << (i % kWordBits);
  }
  for (size_t byte = 0; byte < Class().size(); ++byte) {
    part->takers.insert(part->takers.end(), any.begin(), any.end());
  }
  for (size_t i = 0; i < count; ++i) {
    const Element& element = part->elements[i];
    if (element.kind == Element::Kind::kAny) continue;
    const uint64_t bit = uint64_t{1} << (i % kWordBits);
    uint64_t* const column = part->takers.data() + i / kWordBits;
    if (element.kind == Element::Kind::kByte) {
      column[element.byte * words] |= bit;
      continue;
    }
    const Class& taken = classes_[element.class_index];
    for (size_t byte = 0; byte < taken.size(); ++byte) {
      if (taken[byte]) column[byte * words] |= bit;
    }
  }
}

bool Glob::Takes(const Element& element, char c) const {
  const auto byte = static_cast<unsigned char>(c);
  switch (element.kind) {
    case Element::Kind::kByte:
      return element.byte == byte;
    case Element::Kind::kAny:
      return true;
    case Element::Kind::kClass:
      return classes_[element.class_index][byte];
  }
  return false;
}

// Whether the part is at `at`, where the text goes on for as long.
bool Glob::MatchesAt(const Part& part, const char* at) const {
  size_t i = 0;
  const size_t count = part.elements.size();
  while (i < count && Takes(part.elements[i], at[i])) ++i;
  steps_ += i + 1;
  return i == count;
}

bool Glob::Matches(std::string_view text) const {
  if (!ignore_case_) return MatchesFolded(text);
  std::string folded(text);
  for (char& c : folded) c = static_cast<char>(Fold(c, ignore_case_));
  return MatchesFolded(folded);
}

bool Glob::MatchesFolded(std::string_view text) const {
  if (text.size() < elements_) return false;
  if (!has_star_ && text.size() != elements_) return false;
  if (!MatchesAt(head_, text.data())) return false;
  text.remove_prefix(head_.elements.size());
  const size_t tail_size = tail_.elements.size();
  if (!MatchesAt(tail_, text.data() + text.size() - tail_size)) return false;
  text.remove_suffix(tail_size);
  for (const Part& part : middle_) {
    const size_t end = EndOfFirst(part, text);
    if (end == kNowhere) return false;
    text.remove_prefix(end);
  }
  return true;
}

// Where the first place of the part in `text` ends.
size_t Glob::EndOfFirst(const Part& part, std::string_view text) const {
  if (text.size() < part.elements.size()) return kNowhere;
  if (part.is_plain()) return EndOfFirstPlain(part, text);
  if (part.takers.empty()) return EndOfFirstShort(part, text);
  return EndOfFirstByTakers(part, text);
}

size_t Glob::EndOfFirstPlain(const Part& part, std::string_view text) const {
  // std::string_view::find takes the product of the sizes at worst.
  const void* const found =
      memmem(text.data(), text.size(), part.bytes.data(), part.bytes.size());
  const size_t end =
      found == nullptr
          ? kNowhere
          : static_cast<size_t>(static_cast<const char*>(found) - text.data()) +
                part.bytes.size();
  steps_ += std::min(end, text.size());
  return end;
}

size_t Glob::EndOfFirstShort(const Part& part, std::string_view text) const {
  const size_t count = part.elements.size();
  for (size_t at = 0; at + count <= text.size(); ++at) {
    if (MatchesAt(part, text.data() + at)) return at + count;
  }
  return kNowhere;
}

// Shift-And: bit i of the state says that the elements up to i match what ends
// here.
size_t Glob::EndOfFirstByTakers(const Part& part, std::string_view text) const {
  const size_t count = part.elements.size();
  const size_t words = WordsFor(count);
  const uint64_t last_bit = uint64_t{1} << ((count - 1) % kWordBits);
  const size_t last_word = (count - 1) / kWordBits;
  // Before the first word there is one whose highest bit makes each place a
  // beginning.
  std::array<uint64_t, 1 + kStepsPerByteMax> one = {uint64_t{1} << 63};
  std::array<uint64_t, 1 + kStepsPerByteMax> other = one;
  uint64_t* state = one.data();
  uint64_t* next = other.data();
  for (size_t at = 0; at < text.size(); ++at) {
    const auto byte = static_cast<unsigned char>(text[at]);
    const uint64_t* const takers = part.takers.data() + byte * words;
    if (words == 1) {
      next[1] = Shifted(state, takers[0]);
    } else {
      ShiftBlocks(state, takers, words, next);
    }
    std::swap(state, next);
    steps_ += words;
    if ((state[1 + last_word] & last_bit) != 0) return at + 1;
  }
  return kNowhere;
}

}  // namespace kvd
