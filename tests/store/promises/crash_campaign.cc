// SPDX-License-Identifier: MIT
#include "tests/store/promises/crash_campaign.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "tests/store/promises/machine.h"

namespace kvd {
namespace {

class Campaign {
 public:
  Campaign(const Workload& workload, const CampaignOptions& options)
      : workload_(workload),
        options_(options),
        store_options_(workload.options) {
    if (!options_.values_on_disk) return;
    store_options_.value_cache_bytes = kFewBytes;
    store_options_.write_hints = true;
  }

  CampaignResult Run() {
    {
      SimFileSystem disk;
      History history;
      RunWorkload(&disk, &history);
      result_.operations = disk.operations();
      for (size_t n = 0; n < result_.operations; ++n) {
        descriptions_.push_back(disk.DescribeOperation(n));
      }
      descriptions_.push_back("the end");
      result_.acknowledged = history.acknowledged;
    }
    for (size_t n = 0; n <= result_.operations; n += options_.crash_every) {
      CrashAt(n);
    }
    return result_;
  }

 private:
  void RunWorkload(SimFileSystem* disk, History* history) {
    disk->SetReadsWait(options_.values_on_disk);
    workload_.run(disk, history, store_options_);
  }

  std::string Check(SimFileSystem* image, const History& history) {
    image->SetReadsWait(options_.values_on_disk);
    return CheckAfterCrash(image, history, store_options_);
  }

  void CrashAt(size_t n) {
    SimFileSystem disk;
    History history;
    if (n < result_.operations) disk.CrashAt(n);
    RunWorkload(&disk, &history);
    for (const CrashChoice& choice : disk.Choices(options_.choices_per_crash)) {
      ++result_.images;
      const std::string context =
          fmt::format("{}: crash at operation {} ({}), {}", workload_.name, n,
                      descriptions_[n], choice.Describe());
      Note(context, Check(disk.Image(choice).get(), history));
      CrashInRecovery(disk, choice, history, context);
    }
  }

  void CrashInRecovery(const SimFileSystem& disk, const CrashChoice& choice,
                       const History& history, const std::string& context) {
    // One image in a few, and another operation each time: over a campaign
    // every operation has its turn.
    for (size_t i = 0; i < options_.recovery_crashes; ++i) {
      const std::unique_ptr<SimFileSystem> again = disk.Image(choice);
      const size_t m = (result_.images + i) % kRecoveryOperations;
      again->CrashAt(m);
      const std::string first = Check(again.get(), history);
      Note(context + ", before a crash in recovery", first);
      const std::vector<CrashChoice> choices = again->Choices(kChoicesMin);
      for (size_t c = 0; c < options_.recovery_choices; ++c) {
        const CrashChoice& second =
            choices[(result_.recovery_images + c) % choices.size()];
        ++result_.recovery_images;
        Note(fmt::format("{}, then in recovery at operation {}, {}", context, m,
                         second.Describe()),
             Check(again->Image(second).get(), history));
      }
    }
  }

  void Note(const std::string& context, const std::string& wrong) {
    if (wrong.empty()) return;
    if (result_.failures++ == 0) {
      result_.first_failure = context + ":\n" + wrong;
    }
  }

  // About as many as a recovery with its first change takes.
  static constexpr size_t kRecoveryOperations = 40;
  static constexpr size_t kChoicesMin = 8;
  // A value cache in which only a few small values fit.
  static constexpr uint64_t kFewBytes = 1000;

  const Workload& workload_;
  CampaignOptions options_;
  StoreOptions store_options_;
  CampaignResult result_;
  std::vector<std::string> descriptions_;
};

}  // namespace

CampaignResult RunCampaign(const Workload& workload,
                           const CampaignOptions& options) {
  return Campaign(workload, options).Run();
}

}  // namespace kvd
