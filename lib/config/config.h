// SPDX-License-Identifier: MIT
//
// kvd's settings: what the daemon may be told, with its defaults, limits and
// meaning. etc/kvd.toml is the manual for people; a test holds the two
// together. Everything is read and checked before anything is used, so a bad
// file never takes effect by half.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/durability.h"
#include "base/error.h"

namespace kvd {

enum class LogLevel { kError = 1, kWarning, kInfo };

// What the longest command needs beside its value: key, options and framing.
// The limits of a connection's input and output hold a value and this.
inline constexpr uint64_t kCommandOverheadBytes = uint64_t{1} << 20;

// Settings that are one of a few words.
inline constexpr std::string_view kLocalBackend = "local";
inline constexpr std::string_view kEtcdBackend = "etcd";
inline constexpr std::string_view kLinearizableReads = "linearizable";
inline constexpr std::string_view kLocalReads = "local";

// The largest value where the data is in etcd, whose requests have at most
// 1.5 MiB.
inline constexpr uint64_t kEtcdValueBytesMax = uint64_t{1} << 20;

// An amount of memory: a size, or a share of what there is.
struct MemoryAmount {
  uint64_t bytes = 0;    // 0 for a share.
  uint64_t percent = 0;  // At most 100; 0 for a size.

  // Whether neither is set: then there is no such bound.
  bool is_none() const { return bytes == 0 && percent == 0; }
  // In bytes, where `total` is all of the memory. 0 when neither is set.
  uint64_t Resolve(uint64_t total) const;

  bool operator==(const MemoryAmount&) const = default;
};

// The defaults below are those of etc/kvd.toml. Sizes are in bytes, durations
// in milliseconds unless their names say otherwise.
struct Config {
  std::string data_dir = "/var/lib/kvd";

  struct Socket {
    std::string path = "/run/kvd/kvd.sock";
    uint32_t mode = 0660;  // Permission bits, at most 0777.
    std::string group;     // Name of the socket's group; empty: leave as is.
  } socket;

  struct Durability {
    SyncMode sync = SyncMode::kAlways;
    int64_t interval_ms = 1000;
    // Idle time after which an empty commit group declares the last one
    // durable.
    int64_t declare_after_ms = 100;
    // How often kvd checks that its files are still there, and how long clients
    // may go on reading when they are not.
    int64_t look_interval_ms = 1000;
    int64_t reads_after_loss_ms = 300'000;
  } durability;

  struct Log {
    uint64_t segment_bytes = uint64_t{64} << 20;
    WriteDevice device = WriteDevice::kAuto;
    int64_t busy_poll_us = 300;  // 0: never.
  } log;

  struct Compaction {
    int64_t interval_ms = 60 * 1000;           // 0: only when asked.
    double min_dead_ratio = 0.4;               // 0 … 1, of a segment's bytes.
    uint64_t rate_bytes = uint64_t{64} << 20;  // A second; 0: no limit.
    uint64_t history_bytes = 0;
  } compaction;

  struct Scrub {
    int64_t interval_ms = 24 * 3600 * 1000;   // 0: never.
    uint64_t rate_bytes = uint64_t{8} << 20;  // A second; 0: no limit.
  } scrub;

  struct Backup {
    int64_t stall_timeout_ms = 60 * 1000;
    uint64_t rate_bytes = uint64_t{64} << 20;  // A second; 0: no limit.
  } backup;

  struct Memory {
    MemoryAmount value_cache = {.percent = 25};
    MemoryAmount limit;  // None: no limit.
  } memory;

  struct Limits {
    int64_t connections = 10000;
    int64_t reserved_connections = 16;
    uint64_t value_bytes = uint64_t{64} << 20;
    int64_t arguments = 128 << 10;                // Per command.
    uint64_t input_bytes = uint64_t{80} << 20;    // Unparsed, per connection.
    uint64_t output_bytes = uint64_t{256} << 20;  // Unsent, per connection.
    uint64_t subscriber_bytes = uint64_t{32} << 20;  // Unsent messages of one.
    // Words, new values and replies of one, together.
    uint64_t transaction_bytes = uint64_t{256} << 20;
    int64_t half_command_timeout_ms = 30 * 1000;
    uint64_t open_group_bytes = uint64_t{8} << 20;
    int64_t reserved_descriptors = 64;
  } limits;

  struct Storage {
    std::string backend{kLocalBackend};
  } storage;

  struct Etcd {
    std::string endpoints = "http://127.0.0.1:2379";  // Commas between them.
    std::string prefix = "kvd/";
    int64_t timeout_ms = 5000;
    std::string reads{kLinearizableReads};
    int64_t max_clock_skew_ms = 500;
    std::string ca_file;
    std::string cert_file;
    std::string key_file;
  } etcd;

  struct PubSub {
    std::string keyspace_events;  // Letters of Redis; empty: none.
  } pubsub;

  struct Script {
    uint64_t memory_bytes = uint64_t{64} << 20;
    int64_t time_ms = 50;
  } script;

  struct SlowLog {
    int64_t threshold_us = 10'000;  // 0: all commands; INT64_MAX: none.
    int64_t length = 128;           // 0: none is kept.
  } slowlog;

  struct Logging {
    LogLevel level = LogLevel::kInfo;
  } logging;

  struct Debug {
    bool commands = false;  // Whether DEBUG is there.
  } debug;
};

// Reads the file at `path` and then applies `overrides`, each "name=value". An
// empty path reads no file. Errors: kNotFound and the like when the file cannot
// be read; kInvalid with one line per fault, "file:line:column: what", or
// "--set name=value: what".
Result<Config> LoadConfig(const std::string& path,
                          const std::vector<std::string>& overrides = {});

// The bytes of such a file; of one that is too long to be one, the first.
Result<std::string> ReadConfigFile(const std::string& path);

// The same from text; `file` is its name in messages.
Result<Config> ParseConfig(std::string_view text, const std::string& file,
                           const std::vector<std::string>& overrides = {});

// Sets one setting from "limits.value_size=128MiB"; strings without quotes.
// Leaves `config` alone on an error. Relations between settings are for
// LoadConfig.
Result<void> ApplyOverride(Config* config, std::string_view assignment);

// When a changed value is followed.
enum class Changeable {
  kUnknown,  // There is no such setting.
  kAtStart,
  kAtRunTime,
};
Changeable WhenChangeable(std::string_view name);

// Sets one setting from a text such as GetSetting() gives. Leaves `config`
// alone on an error, which does not repeat the name.
Result<void> SetSetting(Config* config, std::string_view name,
                        std::string_view value);
// Of a name that there is.
std::string GetSetting(const Config& config, std::string_view name);

// Whether the settings may go together, while kvd runs: beside what
// ParseConfig() refuses, a value size that the backend does not have.
Result<void> CheckRelations(const Config& config);

// All settings in the manual's order as dotted name and value, the value as
// ApplyOverride takes it.
std::vector<std::pair<std::string, std::string>> DescribeSettings(
    const Config& config);

// The parts of a setting that is a list, empty ones included.
std::vector<std::string> SplitList(std::string_view text);
// Whether an endpoint is encrypted.
bool IsHttps(std::string_view endpoint);

std::string_view ToString(SyncMode mode);
std::string_view ToString(LogLevel level);

}  // namespace kvd
