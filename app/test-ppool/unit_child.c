/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/* Secondary processes of the unit suites: started, traced, waited for, ended, mourned. */

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_eal.h>

#include "app.h"
#include "unit.h"
#include "unit_child.h"

#define CHILD_SECONDS 60
#define ARGS_MAX 64

static bool
eal_option_given(const char *name)
{
	size_t len = strlen(name);
	unsigned int i;

	for (i = 1; app_argv[i] != NULL && strcmp(app_argv[i], "--") != 0; i++)
		if (strncmp(app_argv[i], name, len) == 0)
			return true;
	return false;
}

/* The shadow memory of AddressSanitizer lies where EAL puts its own in every process. */
#if defined(__SANITIZE_ADDRESS__)
#define UNIT_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UNIT_ASAN 1
#endif
#endif

static bool
same_addresses_likely(void)
{
#ifdef UNIT_ASAN
	return eal_option_given("--base-virtaddr");
#else
	return true;
#endif
}

static bool
secondary_possible(void)
{
	return rte_eal_has_hugepages() && !eal_option_given("--in-memory") &&
			!eal_option_given("--no-shconf");
}

void
unit_require_secondary(void)
{
	unit_require(secondary_possible(), "hugepages that processes can share");
	unit_require(same_addresses_likely(),
			"the EAL option --base-virtaddr=0x200000000000, because of "
			"AddressSanitizer");
}

void
unit_require_alone(void)
{
	unit_require(!secondary_possible(), "the EAL option --in-memory");
}

static bool
stock_possible(void)
{
#ifdef UNIT_ASAN
	return false;
#else
	return true;
#endif
}

/* Built for the machine that this program is built for: at offset 18 of both ELF files. */
static bool
program_exists(const char *program)
{
	char cmd[256];

	snprintf(cmd, sizeof(cmd), "p=$(command -v %s) && cmp -s -i 18 -n 2 /proc/%d/exe \"$p\"",
			program, getpid());
	return system(cmd) == 0;
}

void
unit_require_stock(const char *program)
{
	unit_require(stock_possible(), "a build without AddressSanitizer");
	unit_require(program_exists(program), program);
}

/* On a processor that we may use. */
static void
lcores_option(char *text, size_t size, unsigned int id)
{
	unsigned int cpu = 0;
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		while (cpu + 1 < CPU_SETSIZE && !CPU_ISSET(cpu, &set))
			cpu++;
	snprintf(text, size, "--lcores=%u@%u", id, cpu);
}

unsigned int
unit_free_lcore(void)
{
	unsigned int id = RTE_MAX_LCORE - 1;

	while (id > 0 && rte_lcore_is_enabled(id))
		id--;
	return id;
}

/* Plugins must be loaded in the primary's order. */
static unsigned int
copy_plugins(char **argv, unsigned int n, unsigned int max)
{
	unsigned int i;

	for (i = 1; app_argv[i] != NULL && strcmp(app_argv[i], "--") != 0 && n + 2 < max; i++) {
		if (strncmp(app_argv[i], "-d", 2) != 0)
			continue;
		argv[n++] = app_argv[i];
		if (app_argv[i][2] == '\0' && app_argv[i + 1] != NULL)
			argv[n++] = app_argv[++i];
	}
	return n;
}

/* Libraries lie elsewhere in the secondary, even where this program was started by setarch -R. */
static void
randomize_addresses(void)
{
	int persona = personality(0xffffffff);

	if (persona != -1)
		personality((unsigned long)persona & ~(unsigned long)ADDR_NO_RANDOMIZE);
}

static void
eal_exec(const char *program, unsigned int lcore, const char * const *args)
{
	char prefix[256], lcores[32], dir[PATH_MAX];
	char *argv[ARGS_MAX];
	unsigned int n = 0;

	snprintf(dir, sizeof(dir), "%s", rte_eal_get_runtime_dir());
	snprintf(prefix, sizeof(prefix), "--file-prefix=%s", basename(dir));
	argv[n++] = app_argv[0];
	/* DPDK's own tools say that themselves, and EAL takes it once. */
	if (strcmp(program, UNIT_SELF) == 0)
		argv[n++] = (char *)(uintptr_t) "--proc-type=secondary";
	argv[n++] = prefix;
	if (lcore != UNIT_LCORE_DEFAULT) {
		lcores_option(lcores, sizeof(lcores), lcore);
		argv[n++] = lcores;
	}
	argv[n++] = (char *)(uintptr_t) "--no-pci";
	argv[n++] = (char *)(uintptr_t) "--no-telemetry";
	argv[n++] = (char *)(uintptr_t) "--log-level=lib.eal:warning";
	n = copy_plugins(argv, n, RTE_DIM(argv) - 16);
	argv[n++] = (char *)(uintptr_t) "--";
	for (; *args != NULL && n + 1 < RTE_DIM(argv); args++)
		argv[n++] = (char *)(uintptr_t)*args;
	argv[n] = NULL;
	randomize_addresses();
	execvp(program, argv);
	fprintf(stderr, "%s cannot be started: %s\n", program, strerror(errno));
	_exit(127);
}

/* Those that were started; some have ended. */
#define CHILDREN_MAX 256u
static pid_t children[CHILDREN_MAX];
static unsigned int nb_children;

void
unit_children_end(void)
{
	unsigned int i;

	/* Only of a child that nobody has waited for is 0 returned. */
	for (i = 0; i < nb_children; i++) {
		if (waitpid(children[i], NULL, WNOHANG) != 0)
			continue;
		print_error("a secondary is left: %d\n", (int)children[i]);
		kill(children[i], SIGKILL);
		waitpid(children[i], NULL, 0);
	}
	nb_children = 0;
}

pid_t
unit_child_start(const char *program, unsigned int lcore, const char * const *args)
{
	pid_t child;

	fflush(NULL);
	child = fork();
	if (child == 0)
		eal_exec(program, lcore, args);
	assert_true(child > 0);
	if (nb_children < CHILDREN_MAX)
		children[nb_children++] = child;
	return child;
}

/* Wait, but not for ever. */
int
unit_child_wait(pid_t child)
{
	int status, ms;

	for (ms = 0; ms < CHILD_SECONDS * 1000; ms += 10) {
		if (waitpid(child, &status, WNOHANG) == child) {
			if (WIFSIGNALED(status))
				print_error("the secondary died of signal %d\n", WTERMSIG(status));
			return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
		}
		rte_delay_us_sleep(10000);
	}
	print_error("the secondary does not come to an end\n");
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	return -1;
}

/* It would wait for ever where nobody traces it. */
#define NOT_TRACED 2

void
unit_child_stop(void)
{
	static bool traced;

	if (!traced && ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
		_exit(NOT_TRACED);
	traced = true;
	raise(SIGSTOP);
}

pid_t
unit_child_trace(unsigned int lcore, const char * const *args)
{
	pid_t child;
	int status;

	/* The steps are those of the secondary, not of the dynamic linker. */
	setenv("LD_BIND_NOW", "1", 1);
	child = unit_child_start(UNIT_SELF, lcore, args);
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFEXITED(status))
		unit_require(WEXITSTATUS(status) != NOT_TRACED, "permission to trace processes");
	assert_true(WIFSTOPPED(status));
	/* It does not outlive us. */
	assert_int_equal(ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_EXITKILL), 0);
	return child;
}

int
unit_child_resume(pid_t child, int request)
{
	int status;

	assert_int_equal(ptrace(request, child, NULL, NULL), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

void
unit_child_kill(pid_t child)
{
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
}

unsigned int
unit_recover_dead(struct rte_mempool *mp, struct ppool_recovered *r)
{
	struct ppool_owner_info info[64];
	int i, n = ppool_owners_get(mp, info, RTE_DIM(info));
	unsigned int dead = 0;

	assert_in_range(n, 0, RTE_DIM(info));
	for (i = 0; i < n; i++) {
		if (!info[i].dead)
			continue;
		dead++;
		/* Both owners of a process are gone with the first. */
		assert_in_range(-ppool_recover_process(mp, (uint32_t)info[i].process, r), 0,
				ENOENT);
	}
	return dead;
}
