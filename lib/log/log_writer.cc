// SPDX-License-Identifier: MIT
#include "log/log_writer.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/coding.h"
#include "log/format/segment.h"

namespace kvd {
namespace {

// Writes that nobody flushes are for the page cache, which io_uring leaves to
// threads of the kernel's: nothing is gained.
WriteDevice DeviceFor(const LogWriterOptions& options) {
  const bool lazy = options.sync != SyncMode::kAlways;
  return lazy && options.device == WriteDevice::kAuto ? WriteDevice::kThread
                                                      : options.device;
}

LogWriterOptions WithinLimits(LogWriterOptions options) {
  options.segment_bytes =
      std::clamp<uint64_t>(AlignUp(options.segment_bytes, kBlockBytes),
                           4 * kBlockBytes, kSegmentBytesMax);
  options.first_segment_bytes =
      std::clamp(AlignDown(options.first_segment_bytes, kBlockBytes),
                 4 * kBlockBytes, options.segment_bytes);
  return options;
}

}  // namespace

LogWriter::LogWriter(Directory& directory, Manifest manifest,
                     LogWriterOptions options, Executor& slow_work,
                     Clock& clock, const Wake& wake,
                     std::unique_ptr<DurableWriter> device)
    : options_(WithinLimits(std::move(options))),
      clock_(clock),
      manifest_(directory, std::move(manifest)),
      supply_(directory, options_, std::exchange(options_.give_space_back, {}),
              manifest_, state_, slow_work, clock, wake),
      pipeline_(options_, manifest_.value().next_seq - 1, supply_, manifest_,
                state_, clock, std::move(device)) {}

// Waiting is what the parts' destructors do.
LogWriter::~LogWriter() = default;

Result<std::unique_ptr<LogWriter>> LogWriter::Start(Directory& directory,
                                                    Manifest manifest,
                                                    LogWriterOptions options,
                                                    Executor& slow_work,
                                                    Clock& clock, Wake wake) {
  KVD_CHECK(manifest.Live().empty());
  KVD_TRY_ASSIGN(std::unique_ptr<DurableWriter> device,
                 directory.NewDurableWriter(DeviceFor(options), wake));
  std::unique_ptr<LogWriter> writer(
      new LogWriter(directory, std::move(manifest), std::move(options),
                    slow_work, clock, wake, std::move(device)));
  writer->supply_.PrepareAhead();
  return writer;
}

std::optional<int64_t> LogWriter::Tick() {
  if (failure() || stopped()) return std::nullopt;
  const int64_t now_ms = clock_.MonotonicUs() / 1000;
  pipeline_.Retry(now_ms);
  supply_.Retry(now_ms);
  pipeline_.PumpIfDue();
  const int64_t next_ms =
      std::min(pipeline_.DueAtMs(now_ms), supply_.RetryAtMs(now_ms));
  if (next_ms == INT64_MAX) return std::nullopt;
  // Something that is due but cannot be done yet is looked at again soon.
  return std::max<int64_t>(next_ms - now_ms, 10);
}

Manifest LogWriter::AsOfLastGroup() {
  Manifest manifest = manifest_.value();
  for (const LiveSegment* live : {supply_.retiring(), supply_.active()}) {
    if (live != nullptr && live->records > 0) {
      manifest.sealed.push_back(SealedAtEnd(*live));
    }
  }
  const uint64_t seq = pipeline_.submitted_seq();
  manifest.active.reset();
  manifest.prepared.reset();
  manifest.clean = true;
  manifest.next_seq = seq + 1;
  manifest.databases = manifest_.DatabasesAsOf(seq);
  manifest.databases_as_of = seq;
  return manifest;
}

uint32_t LogWriter::active_segment() const {
  const LiveSegment* active = supply_.active();
  return active == nullptr ? 0 : static_cast<uint32_t>(active->identity.id);
}

}  // namespace kvd
