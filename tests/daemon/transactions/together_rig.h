// SPDX-License-Identifier: MIT
//
// What tests of whatever makes commands take effect together inherit: the same
// commands in an EXEC or in a script.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "tests/daemon/command_rig.h"

namespace kvd {

enum class Way { kExec, kScript };

// Those that this build has.
inline std::vector<Way> Ways() {
#ifdef KVD_SCRIPTS
  return {Way::kExec, Way::kScript};
#else
  return {Way::kExec};
#endif
}

// How GoogleTest names one.
inline void PrintTo(Way way, std::ostream* out) {
  *out << (way == Way::kExec ? "Exec" : "Script");
}

class TogetherRig : public CommandRig {
 public:
  using Words = std::vector<std::string>;

  explicit TogetherRig(const StoreOptions& options = SmallStore(),
                       SimFileSystem* disk = nullptr);

  // The words that run these commands and end with the last one's reply. An
  // EXEC has them queued now; a script goes on whatever a command answers.
  Words Together(Way way, const std::vector<Words>& commands);
};

}  // namespace kvd
