// SPDX-License-Identifier: MIT
//
// Patterns of names: `*`, `?`, `[a-z]`, `[^a]`, and `\` for the next byte as it
// is. Source of what they mean: stringmatchlen() of Redis, odd patterns
// included.
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kvd {

// A pattern, read once for all the texts that it is compared with.
//
// The part of a pattern between two stars has a fixed length, and it is enough
// to find the first place of each part behind the part before it. So no byte of
// a text is looked at again for another star. A part of plain bytes is found
// in time linear in the text (memmem); one with `?` or classes costs up to a
// step for each 64 of its elements and byte of the text (Shift-And). At worst
// a text therefore takes kStepsPerByteMax steps a byte, and usually one.
//
// Thread: one at a time.
class Glob {
 public:
  static constexpr size_t kPatternBytesMax = 4096;
  static constexpr size_t kStepsPerByteMax = kPatternBytesMax / 64;

  // Nothing when the pattern is longer than kPatternBytesMax.
  static std::optional<Glob> Compile(std::string_view pattern,
                                     bool ignore_case = false);

  // Whether the pattern matches all of `text`.
  bool Matches(std::string_view text) const;

  // The steps of all Matches() so far: tests assert that there are few.
  uint64_t steps() const { return steps_; }

 private:
  using Class = std::bitset<256>;

  // What one byte of a text is compared with.
  struct Element {
    enum class Kind : uint8_t { kByte, kAny, kClass };

    Kind kind;
    unsigned char byte = 0;
    uint16_t class_index = 0;  // In classes_.
  };

  // The elements between two stars.
  struct Part {
    std::vector<Element> elements;
    std::string bytes;  // All of it when it consists of plain bytes.
    // For each byte the elements that take it, 64 in a word; only where such a
    // part has to be searched for and is not short.
    std::vector<uint64_t> takers;

    bool is_plain() const { return bytes.size() == elements.size(); }
  };

  explicit Glob(bool ignore_case) : ignore_case_(ignore_case) {}
  void Parse(std::string_view pattern);
  Class ParseClass(std::string_view pattern, size_t* at) const;
  void AddTakers(Part* part) const;

  bool Takes(const Element& element, char c) const;
  bool MatchesAt(const Part& part, const char* at) const;
  bool MatchesFolded(std::string_view text) const;
  size_t EndOfFirst(const Part& part, std::string_view text) const;
  size_t EndOfFirstPlain(const Part& part, std::string_view text) const;
  size_t EndOfFirstShort(const Part& part, std::string_view text) const;
  size_t EndOfFirstByTakers(const Part& part, std::string_view text) const;

  bool ignore_case_;
  bool has_star_ = false;
  std::vector<Class> classes_;
  Part head_;  // All of the pattern if it has no star.
  std::vector<Part> middle_;
  Part tail_;
  size_t elements_ = 0;  // Of all parts: texts have as many bytes at least.
  mutable uint64_t steps_ = 0;
};

}  // namespace kvd
