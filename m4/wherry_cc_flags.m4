# SPDX-License-Identifier: GPL-2.0-or-later
# WHERRY_CC_FLAGS(VARIABLE, FLAGS)
# Appends to VARIABLE each of FLAGS that the C compiler takes without a warning.
AC_DEFUN([WHERRY_CC_FLAGS], [
	for wherry_flag in m4_normalize([$2]); do
		wherry_saved="$CFLAGS"
		# _FORTIFY_SOURCE warns without optimisation.
		CFLAGS="$CFLAGS -O2 -Werror $wherry_flag"
		AC_MSG_CHECKING([whether $CC takes $wherry_flag])
		AC_LINK_IFELSE([AC_LANG_PROGRAM()],
			[AC_MSG_RESULT([yes]); $1="$$1 $wherry_flag"],
			[AC_MSG_RESULT([no])])
		CFLAGS="$wherry_saved"
	done
])
