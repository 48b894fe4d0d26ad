//go:build !purego

#include "textflag.h"

// func inspect64(p *byte, chunks int, marks *byte) (high, control, backslash int)
//
// Looks at chunks times 64 bytes from p. Bit k of marks[j] says whether byte
// 64*j+k is a quote or a backslash. The results are not 0 if some byte is above
// 0x7f; is below 0x20 and not '\n'; is a backslash. SSE2 only, which every amd64
// has.
TEXT ·inspect64(SB), NOSPLIT, $0-48
	MOVQ p+0(FP), SI
	MOVQ chunks+8(FP), CX
	MOVQ marks+16(FP), DI
	MOVQ $0x2222222222222222, AX // quotes
	MOVQ AX, X8
	PUNPCKLQDQ X8, X8
	MOVQ $0x5c5c5c5c5c5c5c5c, AX // backslashes
	MOVQ AX, X9
	PUNPCKLQDQ X9, X9
	MOVQ $0x1f1f1f1f1f1f1f1f, AX // the highest control character
	MOVQ AX, X10
	PUNPCKLQDQ X10, X10
	MOVQ $0x0a0a0a0a0a0a0a0a, AX // line ends
	MOVQ AX, X11
	PUNPCKLQDQ X11, X11
	PXOR X12, X12 // all bytes ORed: high
	PXOR X13, X13 // control
	PXOR X14, X14 // backslash

// LOOK looks at the 16 bytes at off; the marks go to reg.
#define LOOK(off, reg) \
	MOVOU off(SI), X0 \
	POR X0, X12 \
	MOVO X0, X1 \
	PCMPEQB X9, X1 \
	POR X1, X14 \
	MOVO X0, X2 \
	PCMPEQB X8, X2 \
	POR X1, X2 \
	PMOVMSKB X2, reg \
	MOVO X0, X3 \
	PMINUB X10, X3 \
	PCMPEQB X0, X3 \
	PCMPEQB X11, X0 \
	PANDN X3, X0 \
	POR X0, X13

loop:
	TESTQ CX, CX
	JZ done
	LOOK(0, R8)
	LOOK(16, R9)
	LOOK(32, R10)
	LOOK(48, R11)
	SHLQ $16, R9
	SHLQ $32, R10
	SHLQ $48, R11
	ORQ R9, R8
	ORQ R11, R10
	ORQ R10, R8
	MOVQ R8, (DI)
	ADDQ $64, SI
	ADDQ $8, DI
	DECQ CX
	JMP loop

done:
	PMOVMSKB X12, AX
	MOVQ AX, high+24(FP)
	PMOVMSKB X13, AX
	MOVQ AX, control+32(FP)
	PMOVMSKB X14, AX
	MOVQ AX, backslash+40(FP)
	RET

// func inspect64AVX2(p *byte, chunks int, marks *byte) (high, control, backslash int)
//
// The same with AVX2.
TEXT ·inspect64AVX2(SB), NOSPLIT, $0-48
	MOVQ p+0(FP), SI
	MOVQ chunks+8(FP), CX
	MOVQ marks+16(FP), DI
	MOVQ $0x2222222222222222, AX // quotes
	MOVQ AX, X8
	VPBROADCASTQ X8, Y8
	MOVQ $0x5c5c5c5c5c5c5c5c, AX // backslashes
	MOVQ AX, X9
	VPBROADCASTQ X9, Y9
	MOVQ $0x1f1f1f1f1f1f1f1f, AX // the highest control character
	MOVQ AX, X10
	VPBROADCASTQ X10, Y10
	MOVQ $0x0a0a0a0a0a0a0a0a, AX // line ends
	MOVQ AX, X11
	VPBROADCASTQ X11, Y11
	VPXOR Y12, Y12, Y12 // all bytes ORed: high
	VPXOR Y13, Y13, Y13 // control
	VPXOR Y14, Y14, Y14 // backslash

// LOOK32 looks at the 32 bytes at off; the marks go to reg.
#define LOOK32(off, reg) \
	VMOVDQU off(SI), Y0 \
	VPOR Y0, Y12, Y12 \
	VPCMPEQB Y9, Y0, Y1 \
	VPOR Y1, Y14, Y14 \
	VPCMPEQB Y8, Y0, Y2 \
	VPOR Y1, Y2, Y2 \
	VPMOVMSKB Y2, reg \
	VPMINUB Y10, Y0, Y3 \
	VPCMPEQB Y0, Y3, Y3 \
	VPCMPEQB Y11, Y0, Y0 \
	VPANDN Y3, Y0, Y0 \
	VPOR Y0, Y13, Y13

loop:
	TESTQ CX, CX
	JZ done
	LOOK32(0, R8)
	LOOK32(32, R9)
	SHLQ $32, R9
	ORQ R9, R8
	MOVQ R8, (DI)
	ADDQ $64, SI
	ADDQ $8, DI
	DECQ CX
	JMP loop

done:
	VPMOVMSKB Y12, AX
	MOVQ AX, high+24(FP)
	VPMOVMSKB Y13, AX
	MOVQ AX, control+32(FP)
	VPMOVMSKB Y14, AX
	MOVQ AX, backslash+40(FP)
	VZEROUPPER
	RET
