// SPDX-License-Identifier: MIT
#include "log/format/advice.h"

#include <fmt/format.h>

namespace kvd {

std::string DamageAdvice(std::string_view directory) {
  return fmt::format(
      "  List all damage, while kvd is stopped:\n"
      "    kvd verify {0}\n"
      "  Restore a backup, or make a new store of all that can be read:\n"
      "    kvd salvage {0} NEWDIR",
      directory);
}

}  // namespace kvd
