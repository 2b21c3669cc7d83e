// SPDX-License-Identifier: MIT
//
// A MANIFEST of any bytes is read or refused; what is read survives being
// written and read again. The last line's checksum is made right first, unless
// the input's first byte says otherwise.
#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/checksum.h"
#include "log/format/manifest.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] != 'x') {
    const size_t last = text.rfind("checksum ");
    if (last != std::string::npos) text.resize(last);
    text += fmt::format("checksum {:016x}\n", kvd::Checksum(text, 0));
  }
  const auto manifest = kvd::DecodeManifest(text, "M");
  if (!manifest) {
    KVD_CHECK(manifest.error().message().starts_with("M:"));
    return 0;
  }
  const auto again = kvd::DecodeManifest(kvd::EncodeManifest(*manifest), "M");
  KVD_CHECK(again.ok());
  KVD_CHECK(*again == *manifest);
  return 0;
}
