// SPDX-License-Identifier: MIT
#include "fs/zero_trial.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <string_view>

#include "base/check.h"
#include "fs/aligned.h"

namespace kvd {
namespace {

using std::chrono::steady_clock;

constexpr size_t kPairs = 9;
// Enough on a slow disk.
constexpr size_t kPairsMin = 3;
constexpr std::chrono::milliseconds kPairsTime{50};
constexpr uint64_t kZerosBytes = uint64_t{4} << 20;

int64_t Median(std::vector<int64_t> values) {
  KVD_CHECK(!values.empty());
  const auto middle = values.begin() + static_cast<long>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

int64_t NsSince(steady_clock::time_point begin) {
  return std::chrono::nanoseconds(steady_clock::now() - begin).count();
}

}  // namespace

uint64_t ZeroingLimit(const ZeroTimes& times) {
  const int64_t saved_ns = Median(times.first_ns) - Median(times.again_ns);
  if (saved_ns <= 0) return kZeroingLimitMin;
  const auto limit = static_cast<double>(saved_ns) *
                     static_cast<double>(times.zeros_bytes) /
                     static_cast<double>(std::max<int64_t>(times.zeros_ns, 1));
  return static_cast<uint64_t>(
      std::clamp(limit, static_cast<double>(kZeroingLimitMin),
                 static_cast<double>(kZeroingLimitMax)));
}

Result<ZeroTimes> TryZeros(PosixFile& file) {
  const AlignedBytes zeros = AllocateAligned(kBlockBytes);
  std::memset(zeros.get(), 0, kBlockBytes);
  const std::string_view block(zeros.get(), kBlockBytes);
  KVD_TRY(file.AllocateReserved(kPairs * kBlockBytes));
  KVD_TRY(file.Sync());

  ZeroTimes times;
  const auto write_block = [&](uint64_t offset) -> Result<int64_t> {
    const auto begin = steady_clock::now();
    KVD_TRY(file.WritePastCacheAt(offset, block));
    KVD_TRY(file.Sync());
    return NsSince(begin);
  };
  const auto begin = steady_clock::now();
  for (size_t i = 0; i < kPairs; ++i) {
    if (i >= kPairsMin && steady_clock::now() - begin > kPairsTime) break;
    KVD_TRY_ASSIGN(const int64_t first_ns, write_block(i * kBlockBytes));
    KVD_TRY_ASSIGN(const int64_t again_ns, write_block(i * kBlockBytes));
    times.first_ns.push_back(first_ns);
    times.again_ns.push_back(again_ns);
  }

  const auto zeros_begin = steady_clock::now();
  KVD_TRY(file.AllocateZeroed(kZerosBytes));
  KVD_TRY(file.Sync());
  times.zeros_ns = NsSince(zeros_begin);
  times.zeros_bytes = kZerosBytes;
  return times;
}

}  // namespace kvd
