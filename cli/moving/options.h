// SPDX-License-Identifier: MIT
//
// Options that import, export and diff share.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "cli/command_line.h"
#include "cli/failure.h"
#include "cli/servers/peer.h"
#include "cli/servers/server_sink.h"
#include "cli/servers/server_source.h"

namespace kvctl {

// How to log in at another server.
struct LoginOptions {
  std::optional<std::string> user;
  std::optional<std::string> password_file;

  void Declare(Arguments& arguments);
  Attempt<std::unique_ptr<Peer>> Connect(const GlobalOptions& options,
                                         const std::string& place) const;
};

// What to do with keys that are there already.
struct ExistingOptions {
  bool replace = false;
  bool skip_existing = false;
  bool if_empty = false;
  bool dry_run = false;

  void Declare(Arguments& arguments);
  Attempt<void> Check() const;
  Existing choice() const;
  // With --if-empty: fails if the server has keys. Not for what goes on.
  Attempt<void> CheckEmpty(Peer* peer,
                           const std::optional<std::string>& resume_file) const;
};

Attempt<std::unique_ptr<Peer>> ConnectOwn(const GlobalOptions& options);

// Of --prefix and a pattern, of which at most one may be given, and --db.
Attempt<KeySelection> SelectKeys(const std::optional<std::string>& pattern,
                                 const std::optional<std::string>& prefix,
                                 const GlobalOptions& options);

// Adds database and selection to the name of a task, for the state file.
std::string TaskName(const std::string& what, const KeySelection& selection);

}  // namespace kvctl
