// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <vector>

namespace kvd {

// Those that the calling thread may run on, ascending; empty if the kernel does
// not tell.
std::vector<int> AllowedProcessors();
// The one that the calling thread runs on; -1 if the kernel does not tell.
int CurrentProcessor();
// From now on the calling thread runs only on those, of which there is at least
// one; so do threads that it begins. False without the right to say so.
bool AllowProcessors(std::span<const int> processors);

// Holds a thread to one processor for a while. What somebody else has decided
// about it meanwhile (taskset) counts. Thread: the one that is held.
class ProcessorHold {
 public:
  ProcessorHold() = default;
  ProcessorHold(const ProcessorHold&) = delete;
  ProcessorHold& operator=(const ProcessorHold&) = delete;
  ~ProcessorHold() { Release(); }

  // False without the right to do so; then the thread is held as before.
  bool Hold(int processor);
  // The thread may run again wherever it might before.
  void Release();
  // -1 while it is not held.
  int processor() const { return processor_; }

 private:
  int processor_ = -1;
  std::vector<int> before_;
};

}  // namespace kvd
