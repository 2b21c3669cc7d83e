// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <vector>

#include "cli/moving/record_sorter.h"
#include "cli/records/record_source.h"

namespace kvctl {

// The records of another source by database and key, each key once. It cannot
// be gone on with.
class SortedSource final : public RecordSource {
 public:
  explicit SortedSource(std::unique_ptr<RecordSource> source)
      : source_(std::move(source)) {}

  // The first calls read the other source and append nothing.
  Attempt<bool> Next(std::vector<Record>* page) override;
  Progress progress() const override { return source_->progress(); }
  bool CanPause() const override { return false; }
  void Save(Checkpoint*) const override {}
  Attempt<void> Resume(const Checkpoint&) override { return {}; }

 private:
  const std::unique_ptr<RecordSource> source_;
  RecordSorter sorter_;
  bool sorted_ = false;
};

}  // namespace kvctl
