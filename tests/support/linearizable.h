// SPDX-License-Identifier: MIT
//
// Whether what several clients were told can have come from one thing that does
// one operation after the other, each at some moment between its call and its
// answer. Source: J. M. Wing, C. Gong, "Testing and Verifying Concurrent
// Objects", 1993; G. Lowe, "Testing for linearizability", 2017, for the memory
// of what has been tried.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <set>
#include <utility>
#include <vector>

namespace kvd {

// `State` is what the operations work on; it can be compared by <.
template <typename State>
class Linearizability {
 public:
  // The state after the operation; nullopt if from this state it would have
  // answered something else.
  using Apply = std::function<std::optional<State>(const State&)>;

  explicit Linearizability(State initial) : initial_(std::move(initial)) {}

  // One that was answered. Times are of any kind that counts upwards.
  void Answered(int64_t called, int64_t answered, Apply apply) {
    operations_.push_back({called, answered, true, std::move(apply)});
  }
  // One that may have been done at any time after its call, or never: `apply`
  // takes what its answer would have been as it is.
  void Unknown(int64_t called, Apply apply) {
    operations_.push_back(
        {called, std::numeric_limits<int64_t>::max(), false, std::move(apply)});
  }

  // Takes time and memory that grow quickly with how many operations overlap,
  // and hardly with how many there are.
  bool Check() {
    std::stable_sort(operations_.begin(), operations_.end(),
                     [](const Operation& one, const Operation& other) {
                       return one.called < other.called;
                     });
    tried_.clear();
    done_.assign(operations_.size(), false);
    return Search();
  }

 private:
  struct Operation {
    int64_t called;
    int64_t answered;
    bool certain;
    Apply apply;
  };
  struct Step {  // An operation that was chosen, and what was before.
    size_t operation;
    State before;
  };

  // Depth first, without recursion: there may be many operations.
  bool Search() {
    std::vector<Step> steps;
    State state = initial_;
    size_t next = 0;
    while (!AllCertainAreDone()) {
      const auto chosen = Choose(state, next);
      if (chosen) {
        steps.push_back({chosen->first, std::exchange(state, chosen->second)});
        done_[chosen->first] = true;
        next = 0;
      } else if (steps.empty()) {
        return false;
      } else {
        next = steps.back().operation + 1;
        done_[steps.back().operation] = false;
        state = std::move(steps.back().before);
        steps.pop_back();
      }
    }
    return true;
  }

  // The first operation from `next` on that may come now, and leads to where
  // the search has not been.
  std::optional<std::pair<size_t, State>> Choose(const State& state,
                                                 size_t next) {
    int64_t called_by = std::numeric_limits<int64_t>::max();
    for (size_t i = 0; i < operations_.size(); ++i) {
      if (operations_[i].called > called_by) break;
      if (!done_[i]) called_by = std::min(called_by, operations_[i].answered);
    }
    for (size_t i = next; i < operations_.size(); ++i) {
      if (operations_[i].called > called_by) break;
      if (done_[i]) continue;
      auto after = operations_[i].apply(state);
      if (!after) continue;
      done_[i] = true;
      const bool is_new = tried_.emplace(done_, *after).second;
      done_[i] = false;
      if (is_new) return std::pair(i, std::move(*after));
    }
    return std::nullopt;
  }

  bool AllCertainAreDone() const {
    for (size_t i = 0; i < operations_.size(); ++i) {
      if (operations_[i].certain && !done_[i]) return false;
    }
    return true;
  }

  const State initial_;
  std::vector<Operation> operations_;
  std::vector<bool> done_;
  std::set<std::pair<std::vector<bool>, State>> tried_;
};

}  // namespace kvd
