// SPDX-License-Identifier: MIT
//
// What the disk lacks for a while, and when it is tried again.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "base/log_sink.h"

namespace kvd {

inline constexpr int64_t kDiskFullRetryMs = 1000;

// Something that may work a little later. People hear of it once, and once more
// when it is over. Thread: loop.
class Trouble {
 public:
  // `over` is said at the end; it and `log` outlive this.
  Trouble(const LogSink& log, std::string_view over) : log_(log), over_(over) {}

  // The last try met `error`.
  void Note(const Error& error);
  // The last try met nothing.
  void End();
  // Lets somebody try, who will tell. True if there was any.
  bool Forget();

  explicit operator bool() const { return error_.has_value(); }
  bool needs_room() const { return error_ && NeedsRoom(*error_); }

 private:
  const LogSink& log_;
  std::string_view over_;
  std::optional<Error> error_;
};

// What preparing segments and writing the MANIFEST met. Thread: loop.
class SupplyTrouble {
 public:
  explicit SupplyTrouble(const LogSink& log);

  // No segment was made, not even one of `bytes_min`.
  void SegmentFailed(const Error& error, uint64_t bytes_min, int64_t now_ms);
  void SegmentMade() { shortage_.End(); }
  // What room there is, one of `bytes`, or more, does not fit.
  void NoRoomFor(uint64_t bytes, int64_t now_ms);
  void FoundRoom();
  void ManifestFailed(const Error& error, int64_t now_ms);
  void ManifestSaved() { manifest_.End(); }

  // Whether it is known that a segment of `bytes` finds no room …
  bool IsFullFor(uint64_t bytes) const { return full_for_bytes_ <= bytes; }
  // … and whether as many free bytes say otherwise.
  bool WouldFit(uint64_t free_bytes) const;
  bool ManifestNeedsRoom() const { return manifest_.needs_room(); }
  // Something else than room is missing for segments.
  bool HasShortage() const { return static_cast<bool>(shortage_); }
  // Lets writers try. True if there was one.
  bool ForgetShortage() { return shortage_.Forget(); }

  int64_t retry_at_ms() const { return retry_at_ms_; }
  void RetryLater(int64_t now_ms) { retry_at_ms_ = now_ms + kDiskFullRetryMs; }

 private:
  const LogSink& log_;
  uint64_t full_for_bytes_ = UINT64_MAX;  // A segment of this size.
  Trouble shortage_;
  Trouble manifest_;
  int64_t retry_at_ms_ = 0;
};

}  // namespace kvd
