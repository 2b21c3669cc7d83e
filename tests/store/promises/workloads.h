// SPDX-License-Identifier: MIT
//
// What stores go through in crash tests: short, and each with one idea. They
// carry on blindly when the disk crashes under them.
#pragma once

#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "tests/store/promises/machine.h"

namespace kvd {

struct Workload {
  std::string name;
  StoreOptions options;
  // What the store goes through. Each of its lives has the options given: these
  // or a variant of them.
  std::function<void(SimFileSystem*, History*, const StoreOptions&)> run;
};

// How GoogleTest names one.
inline void PrintTo(const Workload& workload, std::ostream* out) {
  *out << workload.name;
}

// All of them. To add one is to add a row to the table in workloads.cc.
const std::vector<Workload>& CrashWorkloads();

}  // namespace kvd
