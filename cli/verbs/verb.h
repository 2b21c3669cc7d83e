// SPDX-License-Identifier: MIT
//
// A verb of kvctl: what it takes and what it does. Verbs are rows of one table,
// which the command line, the help and the suggestions are made of.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "cli/failure.h"

namespace kvctl {

class Arguments;
class Session;

class Verb {
 public:
  virtual ~Verb() = default;
  virtual void Declare(Arguments& arguments) = 0;
  // Runs once, after the declared values have been set.
  virtual Attempt<ExitCode> Run(Session& session) = 0;
};

struct VerbRow {
  const char* name;
  std::span<const char* const> aliases;
  // Whether it may change something: then a lost reply says so.
  bool writes;
  const char* summary;
  // Its words as the help shows them: "KEY [VALUE] [OPTIONS]".
  const char* words;
  // Lines of the help, from "kvctl …" on.
  const char* examples;
  std::unique_ptr<Verb> (*make)();
};

std::span<const VerbRow> Verbs();

std::unique_ptr<Verb> MakeBackup();
std::unique_ptr<Verb> MakeCall();
std::unique_ptr<Verb> MakeCompact();
std::unique_ptr<Verb> MakeDel();
std::unique_ptr<Verb> MakeDiff();
std::unique_ptr<Verb> MakeExists();
std::unique_ptr<Verb> MakeExpire();
std::unique_ptr<Verb> MakeExport();
std::unique_ptr<Verb> MakeGet();
std::unique_ptr<Verb> MakeHelp();
std::unique_ptr<Verb> MakeImport();
std::unique_ptr<Verb> MakeIncr();
std::unique_ptr<Verb> MakeLatency();
std::unique_ptr<Verb> MakeLs();
std::unique_ptr<Verb> MakeMigrate();
std::unique_ptr<Verb> MakePersist();
std::unique_ptr<Verb> MakePing();
std::unique_ptr<Verb> MakePublish();
std::unique_ptr<Verb> MakeSet();
std::unique_ptr<Verb> MakeStat();
std::unique_ptr<Verb> MakeStatus();
std::unique_ptr<Verb> MakeSubscribe();
std::unique_ptr<Verb> MakeTtl();

}  // namespace kvctl
