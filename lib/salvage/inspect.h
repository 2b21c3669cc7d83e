// SPDX-License-Identifier: MIT
//
// Shows what stands in a data directory or in one of its files, damaged ones
// included, for people and for programs. It takes no lock and changes nothing.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/error.h"
#include "fs/file_system.h"

namespace kvd {

struct InspectOptions {
  bool json = false;     // A JSON object a line.
  bool records = false;  // Groups, records and the entries of hints, too.
  // Of records and entries, those of this key alone.
  std::optional<std::string> key;
};

// Calls `print` with one line after the other. `file`: the name of one file in
// the directory, or empty for all. kNotFound when there is no such file;
// kFormat for what another version wrote. Memory: a window of one file and a
// line for each segment.
Result<void> Inspect(Directory& directory, const std::string& file,
                     const InspectOptions& options,
                     const std::function<void(const std::string&)>& print);

}  // namespace kvd
