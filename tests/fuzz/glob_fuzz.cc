// SPDX-License-Identifier: MIT
//
// A pattern and a text, with a line end between them, behind a byte that says
// whether case counts: both ways to match must agree, and the steps keep to
// their bound.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/strings/glob.h"
#include "tests/support/glob_reference.h"

namespace kvd {
namespace {

void Check(bool ignore_case, std::string_view pattern, std::string_view text) {
  const auto glob = Glob::Compile(pattern, ignore_case);
  KVD_CHECK(glob.has_value() == (pattern.size() <= Glob::kPatternBytesMax));
  if (!glob) return;
  KVD_CHECK(glob->Matches(text) ==
            GlobReference(pattern, ignore_case).Matches(text));
  KVD_CHECK(glob->steps() <=
            Glob::kStepsPerByteMax * text.size() + 2 * pattern.size() + 2);
}

}  // namespace
}  // namespace kvd

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1,
                              size - 1);
  const size_t line = rest.find('\n');
  if (line == std::string_view::npos) return 0;
  kvd::Check(data[0] % 2 != 0, rest.substr(0, line), rest.substr(line + 1));
  return 0;
}
