// SPDX-License-Identifier: MIT
#include "log/read/damage.h"

#include <fmt/format.h>

#include "log/format/advice.h"

namespace kvd {

std::string SegmentPath(const Directory& directory, uint64_t id) {
  return fmt::format("{}/{}", directory.path(), SegmentName(id));
}

tl::unexpected<Error> FailDamaged(const Directory& directory,
                                  std::string_view what) {
  return Fail(ErrorCode::kCorruption, "{}\n  Nothing was changed.\n{}", what,
              DamageAdvice(directory.path()));
}

tl::unexpected<Error> FailNewerFormat(std::string_view path) {
  return Fail(ErrorCode::kFormat,
              "{}: written in another format or with features that this "
              "version does not know\n  Use the version of kvd that wrote it; "
              "nothing was changed.",
              path);
}

HeaderOutcome CheckHeader(std::string_view bytes,
                          const SegmentIdentity& identity) {
  SegmentHeader header;
  const HeaderOutcome outcome = DecodeSegmentHeader(bytes, &header);
  if (outcome != HeaderOutcome::kHeader) return outcome;
  return header.identity == identity ? HeaderOutcome::kHeader
                                     : HeaderOutcome::kBroken;
}

}  // namespace kvd
