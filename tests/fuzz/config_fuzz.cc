// SPDX-License-Identifier: MIT
//
// A configuration file of any bytes is read or refused with its place, and what
// is read can be written out and read again.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "config/config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto config = kvd::ParseConfig(text, "f");
  if (!config) {
    KVD_CHECK(config.error().message().starts_with("f:"));
    return 0;
  }
  const auto described = kvd::DescribeSettings(*config);
  std::vector<std::string> assignments;
  for (const auto& [name, value] : described) {
    assignments.push_back(name + "=" + value);
  }
  const auto again = kvd::ParseConfig("", "f", assignments);
  KVD_CHECK(again.ok());
  KVD_CHECK(kvd::DescribeSettings(*again) == described);
  return 0;
}
