// SPDX-License-Identifier: MIT
#include "cli/verbs/latency_reply.h"

#include <fmt/format.h>

#include <algorithm>

namespace kvctl {

using kvd::Reply;

const Reply& FieldOf(const Reply& map, std::string_view name) {
  static const Reply kNone;
  for (size_t i = 0; i + 1 < map.elements.size(); i += 2) {
    if (map.elements[i].text == name) return map.elements[i + 1];
  }
  return kNone;
}

LatencyHistogram::LatencyHistogram(const Reply& map)
    : count_(FieldOf(map, "count").integer),
      max_ns_(FieldOf(map, "max_ns").integer) {
  const Reply& buckets = FieldOf(map, "buckets");
  for (size_t i = 0; i + 1 < buckets.elements.size(); i += 2) {
    buckets_[buckets.elements[i].integer] = buckets.elements[i + 1].integer;
  }
}

int64_t LatencyHistogram::Quantile(int64_t per_mille) const {
  const int64_t wanted = std::max<int64_t>(
      1, count_ / 1000 * per_mille + (count_ % 1000 * per_mille + 999) / 1000);
  int64_t seen = 0;
  for (const auto& [last, count] : buckets_) {
    seen += count;
    if (seen >= wanted) return std::min(last, max_ns_);
  }
  return 0;
}

LatencyHistogram LatencyHistogram::Since(const LatencyHistogram& before) const {
  if (before.count_ > count_) return *this;
  LatencyHistogram since = *this;
  since.count_ -= before.count_;
  for (const auto& [last, count] : before.buckets_)
    since.buckets_[last] -= count;
  return since;
}

std::string FormatNs(int64_t ns) {
  struct Unit {
    double size;
    const char* name;
  };
  constexpr Unit kUnits[] = {{1e3, "us"}, {1e6, "ms"}, {1e9, "s"}};
  if (ns < 1000) return fmt::format("{}ns", ns);
  const Unit* unit = kUnits;
  // 999.6us would print as 1000us.
  while (unit + 1 < std::end(kUnits) &&
         static_cast<double>(ns) / unit->size >= 999.5) {
    ++unit;
  }
  const double value = static_cast<double>(ns) / unit->size;
  const int digits = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return fmt::format("{:.{}f}{}", value, digits, unit->name);
}

}  // namespace kvctl
