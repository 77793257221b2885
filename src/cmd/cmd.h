/* The subcommands. Each takes what follows its name on the command line and returns the exit code of the program:
 * 0 done, 1 it did not work (the reason is on standard error), 2 it was called wrongly. */
#pragma once

int cmd_serve(int count, char **args);
int cmd_keys(int count, char **args);
int cmd_models(int count, char **args);
int cmd_backup(int count, char **args);
int cmd_check(int count, char **args);
