// SPDX-License-Identifier: MIT
//
// A cluster of real etcd nodes on loopback, for one test.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/support/temp_dir.h"

namespace kvd::etcd {

// Whether this machine has etcd. Tests skip themselves if not.
bool HaveEtcd();

class Nodes {
 public:
  struct Options {
    size_t count = 1;
    std::vector<std::string> arguments = {};  // More, for each node.
    bool tls = false;  // Serves https; `arguments` name the files.
  };

  // Starts them. The destructor kills them.
  explicit Nodes(Options options);
  ~Nodes();
  Nodes(const Nodes&) = delete;
  Nodes& operator=(const Nodes&) = delete;

  size_t size() const { return nodes_.size(); }
  // "http://127.0.0.1:PORT".
  std::string endpoint(size_t at) const;
  std::vector<std::string> endpoints() const;

  void Kill(size_t at);
  // Again, with its data.
  void Start(size_t at);
  // Puts all data aside, as a backup does, and back. None may run.
  void Save();
  void Restore();
  void Pause(size_t at);
  void Resume(size_t at);

  // Forgets what was before `revision`.
  void Compact(int64_t revision);

 private:
  struct Node {
    uint16_t client_port = 0;
    uint16_t peer_port = 0;
    pid_t pid = -1;  // -1: it does not run.
  };

  std::vector<std::string> CommandLine(size_t at) const;
  std::string DataPath(size_t at) const;
  std::string SavedPath(size_t at) const;

  const Options options_;
  TempDir dir_;
  std::vector<Node> nodes_;
};

}  // namespace kvd::etcd
