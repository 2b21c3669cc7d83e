// SPDX-License-Identifier: MIT
//
// What kvd's keys and values are called and look like in etcd: README.md,
// "What stands in etcd".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kvd::etcd {

// A key of etcd's, taken apart. Views into it.
struct Name {
  enum class Kind : uint8_t {
    kData,        // A key of a database, in one of its generations.
    kGeneration,  // Of a database: which one counts.
    kSequence,    // Of a kvd: how far its Txns are.
    kBeat,        // Of a kvd: that it is there.
    kRemoval,     // Of the newest kvd whose keys were removed: its id.
    kOther,       // Nothing of kvd's.
  };
  Kind kind = Kind::kOther;
  int database = 0;
  uint64_t generation = 0;
  std::string_view key;  // kSequence, kBeat: the kvd's id.
};

class Names {
 public:
  explicit Names(std::string prefix) : prefix_(std::move(prefix)) {}

  const std::string& prefix() const { return prefix_; }
  std::string Data(int database, uint64_t generation,
                   std::string_view key) const;
  // Of all keys of a database, and of those of a generation.
  std::string DatabasePrefix(int database) const;
  std::string DataPrefix(int database, uint64_t generation) const;
  std::string Generation(int database) const;
  std::string GenerationPrefix() const { return prefix_ + "g/"; }
  std::string Sequence(std::string_view id) const;
  std::string SequencePrefix() const { return prefix_ + "s/"; }
  // Among the sequence keys; ids are longer.
  std::string NewestRemoval() const { return SequencePrefix() + "-"; }
  std::string Beat(std::string_view id) const;

  Name Parse(std::string_view name) const;

 private:
  std::string prefix_;
};

// A value with its deadline in ms since 1970, 0 for none.
struct StoredValue {
  std::string_view value;
  uint64_t deadline_ms = 0;
};
std::string EncodeValue(std::string_view value, uint64_t deadline_ms);
// Nothing when kvd did not write it.
std::optional<StoredValue> DecodeValue(std::string_view bytes);

// What the sequence key of a kvd says.
struct Sequence {
  std::string nonce;     // Of this life of it.
  uint64_t number = 0;   // Of its newest Txn.
  int64_t clock_ms = 0;  // Its wall clock by then.
};
std::string EncodeSequence(const Sequence& sequence);
std::optional<Sequence> DecodeSequence(std::string_view bytes);

// What a kvd tells the others every few seconds.
struct Beat {
  std::string nonce;     // Of this life of it.
  int64_t clock_ms = 0;  // Its wall clock when it was sent …
  int64_t revision = 0;  // … and how far its watch was by then.
};
std::string EncodeBeat(const Beat& beat);
std::optional<Beat> DecodeBeat(std::string_view bytes);

}  // namespace kvd::etcd
