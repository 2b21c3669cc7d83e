// SPDX-License-Identifier: MIT
#include "daemon/pubsub/pattern_index.h"

#include <algorithm>
#include <optional>

#include "base/check.h"
#include "base/strings/glob.h"
#include "daemon/pubsub/pubsub.h"

namespace kvd {
namespace {

constexpr std::string_view kSpecial = "*?[\\";

// Looks into the index that take as long as one comparison.
constexpr size_t kLooksPerWork = 2;
// In longer names every byte might begin a key: it is cheaper to compare with
// all patterns that have one in the middle.
constexpr size_t kLookedAtBytesMax = 2048;

constexpr size_t kBytesPerWork = 256;
constexpr size_t kGlobWork = 4;  // Of reading a pattern.
constexpr size_t kPatternBytesPerWork = 16;
constexpr size_t kStepsPerWork = 128;

// Of a pattern of plain bytes and `*` alone. The first place of each part will
// do, as for Glob.
bool StarsMatch(std::string_view pattern, std::string_view name) {
  const size_t first = pattern.find('*');
  if (first == pattern.npos) return pattern == name;
  const size_t last = pattern.rfind('*');
  const std::string_view head = pattern.substr(0, first);
  const std::string_view tail = pattern.substr(last + 1);
  if (name.size() < head.size() + tail.size() || !name.starts_with(head) ||
      !name.ends_with(tail)) {
    return false;
  }
  name.remove_prefix(head.size());
  name.remove_suffix(tail.size());
  for (size_t at = first; at < last;) {
    const size_t next = pattern.find('*', at + 1);
    const std::string_view part = pattern.substr(at + 1, next - at - 1);
    const size_t found = name.find(part);
    if (found == name.npos) return false;
    name.remove_prefix(found + part.size());
    at = next;
  }
  return true;
}

// The longest part between `*` and `?` of a pattern that has no more than
// these.
std::string_view LongestPart(std::string_view pattern) {
  std::string_view longest;
  while (!pattern.empty()) {
    const std::string_view part =
        pattern.substr(0, pattern.find_first_of("*?"));
    if (part.size() > longest.size()) longest = part;
    pattern.remove_prefix(std::min(pattern.size(), part.size() + 1));
  }
  return longest;
}

}  // namespace

PatternKey PatternKeyOf(std::string_view pattern) {
  using Where = PatternKey::Where;
  const std::string_view begin =
      pattern.substr(0, pattern.find_first_of(kSpecial))
          .substr(0, PatternIndex::kKeyBytesMax);
  PatternKey key{begin.empty() ? Where::kNone : Where::kBegin, begin};
  // What stands behind a bracket or a backslash may be a part of it.
  if (pattern.find_first_of("[\\") != pattern.npos) return key;
  std::string_view end = pattern.substr(pattern.find_last_of("*?") + 1);
  end =
      end.substr(end.size() - std::min(end.size(), PatternIndex::kKeyBytesMax));
  if (end.size() > key.bytes.size()) key = {Where::kEnd, end};
  const std::string_view middle =
      LongestPart(pattern).substr(0, PatternIndex::kMiddleKeyBytesMax);
  if (middle.size() > key.bytes.size()) key = {Where::kAnywhere, middle};
  return key;
}

bool PatternMatches(const std::string& pattern, std::string_view name,
                    size_t* work) {
  *work += 1 + (pattern.size() + name.size()) / kBytesPerWork;
  if (pattern.find_first_of("?[\\") == pattern.npos) {
    return StarsMatch(pattern, name);
  }
  const std::optional<Glob> glob = Glob::Compile(pattern);
  KVD_CHECK(glob.has_value());
  const bool matches = glob->Matches(name);
  *work += kGlobWork + pattern.size() / kPatternBytesPerWork +
           static_cast<size_t>(glob->steps()) / kStepsPerWork;
  return matches;
}

void PatternIndex::Add(Topic* topic) {
  const PatternKey key = PatternKeyOf(topic->name);
  std::vector<Topic*>* group = &others_;
  if (key.where != PatternKey::Where::kNone) {
    Keys& keys = KeysAt(key.where);
    auto found = keys.groups.find(key.bytes);
    if (found == keys.groups.end()) {
      found = keys.groups.try_emplace(std::string(key.bytes)).first;
      ++keys.of_length[key.bytes.size()];
    }
    group = &found->second;
  }
  topic->place = {group, group->size()};
  group->push_back(topic);
}

void PatternIndex::Remove(Topic* topic) {
  std::vector<Topic*>& group = *topic->place.group;
  Topic* const last = group.back();
  last->place.at = topic->place.at;
  group[topic->place.at] = last;
  group.pop_back();
  if (!group.empty() || &group == &others_) return;
  const PatternKey key = PatternKeyOf(topic->name);
  Keys& keys = KeysAt(key.where);
  keys.groups.erase(keys.groups.find(key.bytes));
  --keys.of_length[key.bytes.size()];
}

void PatternIndex::AddGroup(const Keys& keys, std::string_view key,
                            Groups* groups) {
  const auto group = keys.groups.find(key);
  if (group != keys.groups.end()) groups->push_back(&group->second);
}

bool PatternIndex::FindCandidates(std::string_view name, size_t most,
                                  std::vector<Topic*>* found,
                                  size_t* work) const {
  Groups groups;
  if (!others_.empty()) groups.push_back(&others_);
  const Keys& begins = keys_[static_cast<size_t>(PatternKey::Where::kBegin)];
  const Keys& ends = keys_[static_cast<size_t>(PatternKey::Where::kEnd)];
  const size_t longest = std::min(name.size(), kKeyBytesMax);
  size_t looks = 0;
  for (size_t length = 1; length <= longest; ++length) {
    if (begins.of_length[length] > 0) {
      AddGroup(begins, name.substr(0, length), &groups);
      ++looks;
    }
    if (ends.of_length[length] > 0) {
      AddGroup(ends, name.substr(name.size() - length), &groups);
      ++looks;
    }
  }
  *work += looks / kLooksPerWork;
  AddAnywhere(name, &groups, work);
  size_t count = 0;
  for (const std::vector<Topic*>* group : groups) count += group->size();
  if (count > most) return false;
  found->reserve(found->size() + count);
  for (const std::vector<Topic*>* group : groups) {
    found->insert(found->end(), group->begin(), group->end());
  }
  return true;
}

void PatternIndex::AddAnywhere(std::string_view name, Groups* groups,
                               size_t* work) const {
  const Keys& keys = keys_[static_cast<size_t>(PatternKey::Where::kAnywhere)];
  if (keys.groups.empty()) return;
  if (name.size() > kLookedAtBytesMax) {
    for (const auto& [key, group] : keys.groups) groups->push_back(&group);
    *work += keys.groups.size() / kLooksPerWork;
    return;
  }
  const auto first = static_cast<ptrdiff_t>(groups->size());
  size_t looks = 0;
  for (size_t length = 1; length <= kMiddleKeyBytesMax; ++length) {
    if (keys.of_length[length] == 0) continue;
    for (size_t at = 0; at + length <= name.size(); ++at) {
      AddGroup(keys, name.substr(at, length), groups);
      ++looks;
    }
  }
  *work += looks / kLooksPerWork;
  // A key that comes twice in the name is one all the same.
  std::sort(groups->begin() + first, groups->end());
  groups->erase(std::unique(groups->begin() + first, groups->end()),
                groups->end());
}

}  // namespace kvd
