// SPDX-License-Identifier: MIT
//
// Patterns by plain bytes that a channel's name must have to match them, so
// that a message is compared with few of a million. They are what the pattern
// begins with, what it ends with, or some in the middle, whichever says most.
// Patterns without any (`*`, `[ab]?`) are compared with every name.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace kvd {

struct Topic;  // pubsub.h

// Where a pattern is in the index.
struct PatternPlace {
  std::vector<Topic*>* group = nullptr;
  size_t at = 0;
};

// The bytes of a pattern that the index goes by.
struct PatternKey {
  enum class Where : uint8_t { kBegin, kEnd, kAnywhere, kNone };

  Where where;
  std::string_view bytes;

  bool operator==(const PatternKey&) const = default;
};
PatternKey PatternKeyOf(std::string_view pattern);

// Whether the pattern matches all of `name`, as Glob has it. Adds to `*work`
// how much that was: 1 for the usual pattern and name, about 100 ns.
bool PatternMatches(const std::string& pattern, std::string_view name,
                    size_t* work);

// Thread: loop.
class PatternIndex {
 public:
  PatternIndex() = default;
  PatternIndex(const PatternIndex&) = delete;
  PatternIndex& operator=(const PatternIndex&) = delete;

  // Adds a topic, and says so in its `place`.
  void Add(Topic* topic);
  void Remove(Topic* topic);

  // Adds the topics whose patterns may match to `*found`, each once. Adds to
  // `*work` what looking took, in the measure of PatternMatches(). False, and
  // not all are found, if there are more than `most`.
  bool FindCandidates(std::string_view name, size_t most,
                      std::vector<Topic*>* found, size_t* work) const;

 private:
  // Longer keys are cut.
  static constexpr size_t kKeyBytesMax = 64;
  static constexpr size_t kMiddleKeyBytesMax = 16;

  struct Keys {
    std::map<std::string, std::vector<Topic*>, std::less<>> groups;
    std::array<size_t, kKeyBytesMax + 1> of_length = {};
  };

  friend PatternKey PatternKeyOf(std::string_view pattern);

  Keys& KeysAt(PatternKey::Where where) {
    return keys_[static_cast<size_t>(where)];
  }
  using Groups = std::vector<const std::vector<Topic*>*>;
  static void AddGroup(const Keys& keys, std::string_view key, Groups* groups);
  void AddAnywhere(std::string_view name, Groups* groups, size_t* work) const;

  std::array<Keys, 3> keys_;    // By PatternKey::Where.
  std::vector<Topic*> others_;  // Without a key.
};

}  // namespace kvd
